// Words for FHIR values, and what a row of each part of the record shows.

export const NOTHING = '–';

function concept(value) {
  const one = Array.isArray(value) ? value[0] : value;
  return one?.text ?? one?.coding?.find(coding => coding.display)?.display ?? one?.coding?.[0]?.code ?? NOTHING;
}

/** A FHIR date as people write it. A date without a time has no time zone, so it must not be moved by one. */
export function day(value) {
  const match = /^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?/.exec(value ?? '');
  if (!match) return NOTHING;
  const [, year, month, date] = match;
  const shape = { year: 'numeric', ...(month && { month: 'long' }), ...(date && { day: 'numeric' }), timeZone: 'UTC' };
  return new Intl.DateTimeFormat(navigator.language, shape).format(Date.UTC(Number(year), Number(month ?? 1) - 1, Number(date ?? 1)));
}

const period = value => value?.start || value?.end ? `${day(value.start)} to ${value.end ? day(value.end) : 'now'}` : NOTHING;

function money(amount) {
  if (typeof amount?.value !== 'number') return NOTHING;
  try {
    return new Intl.NumberFormat(navigator.language, { style: 'currency', currency: amount.currency ?? 'USD' }).format(amount.value);
  } catch {
    return `${amount.value} ${amount.currency ?? ''}`.trim();
  }
}

/** An amount of a claim's totals, by the code of its category. */
function total(claim, ...codes) {
  return money(claim.total?.find(entry => entry.category?.coding?.some(coding => codes.includes(coding.code)))?.amount);
}

const quantity = value => [value.comparator, value.value, value.unit ?? value.code].filter(part => part !== undefined && part !== '').join(' ');

function measured(item) {
  if (item.valueQuantity) return quantity(item.valueQuantity);
  if (item.valueCodeableConcept) return concept(item.valueCodeableConcept);
  if (item.valueString !== undefined) return item.valueString;
  if (item.valueBoolean !== undefined) return item.valueBoolean ? 'Yes' : 'No';
  if (item.valueInteger !== undefined) return String(item.valueInteger);
  if (item.valueDateTime) return day(item.valueDateTime);
  if (item.valuePeriod) return period(item.valuePeriod);
  if (item.component?.length) return item.component.map(part => `${concept(part.code)}: ${measured(part)}`).join('; ');
  return item.dataAbsentReason ? concept(item.dataAbsentReason) : NOTHING;
}

/** A reference without a name says nothing to a person. */
const named = reference => reference?.display ?? NOTHING;
export const words = code => (code ? code.charAt(0).toUpperCase() + code.slice(1).replaceAll('-', ' ') : NOTHING);

/** The parts of the record that are lists: what to ask for, and what a row shows. */
export const PARTS = [
  {
    id: 'claims', type: 'ExplanationOfBenefit', title: 'Claims', refused: 'You did not share your claims.', none: 'There are no claims in this record.',
    columns: [
      ['Date', claim => day(claim.billablePeriod?.start ?? claim.created)],
      ['Kind', claim => concept(claim.type)],
      ['Provider', claim => named(claim.provider)],
      ['Asked for', claim => total(claim, 'submitted')],
      ['Paid', claim => total(claim, 'benefit', 'paidtoprovider', 'paid')],
    ],
  },
  {
    id: 'coverage', type: 'Coverage', title: 'Insurance plans', refused: 'You did not share your insurance plans.', none: 'There are no insurance plans in this record.',
    columns: [
      ['Plan', plan => plan.class?.find(entry => entry.name)?.name ?? concept(plan.type)],
      ['Insurer', plan => named(plan.payor?.[0])],
      ['Member number', plan => plan.subscriberId ?? plan.identifier?.[0]?.value ?? NOTHING],
      ['Time', plan => period(plan.period)],
      ['State', plan => words(plan.status)],
    ],
  },
  {
    id: 'observations', type: 'Observation', title: 'Tests and measurements', refused: 'You did not share your tests and measurements.', none: 'There are no tests or measurements in this record.',
    columns: [
      ['Date', item => day(item.effectiveDateTime ?? item.effectivePeriod?.start ?? item.issued)],
      ['What', item => concept(item.code)],
      ['Result', measured],
    ],
  },
  {
    id: 'encounters', type: 'Encounter', title: 'Visits', refused: 'You did not share your visits.', none: 'There are no visits in this record.',
    columns: [
      ['Date', visit => day(visit.period?.start)],
      ['Kind', visit => concept(visit.type ?? (visit.class && { coding: [visit.class] }))],
      ['Where', visit => named(visit.serviceProvider ?? visit.location?.[0]?.location)],
      ['State', visit => words(visit.status)],
    ],
  },
];
