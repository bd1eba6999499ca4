"""A backend service as its developer writes it with PyPI cumulus-fhir-support, of the SMART Health IT team. It finds the token endpoint in
.well-known/smart-configuration, signs with keys of its own, and asks for data.

Arguments: the FHIR base, then an algorithm for each client. It writes the public keys as one line, waits for a line with the clients' ids, and writes what
it got."""

import asyncio
import json
import sys
import types

# Schemas of tables are another matter, and need large packages.
schemas = types.ModuleType("cumulus_fhir_support.schemas")
schemas.pyarrow_schema_from_rows = None
sys.modules["cumulus_fhir_support.schemas"] = schemas

import cumulus_fhir_support as support
from jwcrypto import jwk

base, *algorithms = sys.argv[1:]


def key(algorithm):
    kind = {"kty": "RSA", "size": 2048} if algorithm.startswith("RS") else {"kty": "EC", "crv": "P-384"}
    return jwk.JWK.generate(kid=f"key-{algorithm}", alg=algorithm, key_ops=["sign"], **kind)


async def ask(client_id, own):
    keys = {"keys": [own.export(private_key=True, as_dict=True)]}
    async with support.FhirClient(base, ["Patient"], smart_client_id=client_id, smart_jwks=keys) as client:
        patients = (await client.request("GET", "Patient?_summary=count")).json()
        one = (await client.request("GET", "Patient/ann")).json()
    try:
        async with support.FhirClient(base, ["Observation"], smart_client_id=client_id, smart_jwks=keys):
            refused = None
    except support.AuthFailed as error:
        refused = str(error).split("/oauth/token\": ")[-1]
    return {"total": patients["total"], "family": one["name"][0]["family"], "refused": refused}


own = [key(algorithm) for algorithm in algorithms]
public = [json.loads(each.export_public()) | {"key_ops": ["verify"]} for each in own]
print(json.dumps(public), flush=True)
ids = json.loads(sys.stdin.readline())
print(json.dumps([asyncio.run(ask(client_id, each)) for client_id, each in zip(ids, own)]), flush=True)
