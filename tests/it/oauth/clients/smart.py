"""A standalone launch with PyPI `fhirclient`: prints where the browser goes, reads where it came back, prints what it got."""

import json
import sys

from fhirclient import client

base, app, redirect = sys.argv[1:]
scope = "launch/patient openid fhirUser patient/*.rs"
smart = client.FHIRClient(settings={"app_id": app, "api_base": base, "redirect_uri": redirect, "scope": scope})
print(smart.authorize_url, flush=True)
smart.handle_callback(sys.stdin.readline().strip())
print(json.dumps({"patient": smart.patient_id, "family": smart.patient.name[0].family, "launch": smart.launch_context}))
