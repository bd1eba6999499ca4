// What every part of the app uses: its state, failures in words, elements, storage, requests, random values.
// What it keeps lives in sessionStorage: this tab, until it is closed or disconnected.

export const LAUNCH_KEY = 'launch';
export const SESSION_KEY = 'session';
const REQUEST_SECONDS = 20;

/** What the app knows at this moment: its own settings, what the server says of itself, and the permission. */
export const state = { configuration: undefined, discovery: undefined, session: undefined };

/** A failure that the person can read: what happened, and what to do. */
export class Problem extends Error {
  constructor(what, todo) {
    super(what);
    this.todo = todo;
  }
}

/** What the person wanted: said calmly. */
export class Choice extends Problem {}

/** The permission is over: nothing of the record stays on the screen. */
export class PermissionEnded extends Problem {
  constructor() {
    super('Your permission has ended, or was taken back.', 'This app has forgotten your record. Connect again if you want to see it here.');
  }
}

export const byId = id => document.getElementById(id);

/** A new element with text or children. Text never becomes HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter(child => child !== undefined && child !== null));
  return element;
}

export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** 256 random bits: SMART asks for at least 122 in `state`. */
export const secret = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

export async function sha256(text) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

export function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

export const keep = (key, value) => sessionStorage.setItem(key, JSON.stringify(value));

export async function get(url, options = {}) {
  try {
    return await fetch(url, {
      credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(REQUEST_SECONDS * 1000), ...options,
    });
  } catch {
    throw new Problem('The health record server does not answer.',
      'Check that it runs and that this browser trusts its certificate. Then try again.');
  }
}

export async function json(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}
