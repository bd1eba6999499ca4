#!/usr/bin/env python3
"""Derives the tables in crates/fhir/data/ from the published FHIR R4 definitions.

Usage: python3 xtask/definitions.py ../shared/data

Only facts are taken (names, cardinalities, types, expressions, membership), never descriptions. The keys in
search-parameters.tsv are storage keys: a key that stands in the file is kept, a new parameter gets the next free number, and a
number that is no longer used is never given again.
"""

import gzip
import json
import pathlib
import re
import sys
import tarfile

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "crates" / "fhir" / "data"

# Parameters of all types that are not values of elements, or that ask for full text or a query language.
EXCLUDED = {"_text", "_content", "_filter", "_query", "_list", "_has", "_type"}

# Memberships that R4 does not publish and that we add (docs/adr/0012-device-in-the-patient-compartment.md).
ADDED_MEMBERSHIPS = [("Patient", "Device", "patient")]


def load(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def structures(source):
    """The StructureDefinitions of concrete and abstract resources and datatypes; no profiles, no logical models."""
    for name in ("profiles-types.json.gz", "profiles-resources.json.gz"):
        for entry in load(source / "r4-definitions" / name)["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] != "StructureDefinition" or resource["kind"] == "logical":
                continue
            if resource.get("derivation") == "constraint":
                continue
            yield resource


def implied_systems(source):
    """Value sets that draw on one code system: a plain code that must come from one of them has that system."""
    systems = {}
    for name in ("valuesets.json.gz", "v3-codesystems.json.gz", "v2-tables.json.gz"):
        for entry in load(source / "r4-definitions" / name)["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] != "ValueSet":
                continue
            included = {part.get("system") for part in resource.get("compose", {}).get("include", [])}
            if len(included) == 1 and None not in included:
                systems[resource["url"]] = included.pop()
    return systems


def type_code(element, kind, systems):
    """The types of an element as the table writes them: `Reference:` with targets, `code:` with the system that its binding implies."""
    if "contentReference" in element:
        return [element["contentReference"].lstrip("#")]
    codes = []
    for item in element.get("type", []):
        code = item["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            # Element.id is a string, Resource.id is an id, Extension.url is a uri; the published extension says "string" for all ids.
            code = {"Extension.url": "uri", "Resource.id": "id"}.get(element["path"], "string")
        if code in ("BackboneElement", "Element") and kind != "abstract":
            code = element["path"]
        targets = sorted({profile.rsplit("/", 1)[1] for profile in item.get("targetProfile", [])})
        if code == "Reference" and targets and "Resource" not in targets:
            code += ":" + ",".join(targets)
        binding = element.get("binding", {})
        if code == "code" and binding.get("strength") == "required":
            system = systems.get(binding.get("valueSet", "").split("|")[0])
            if system:
                code += ":" + system
        codes.append(code)
    return codes


def elements(source):
    """Lines of elements.tsv: a line `:Name<TAB>Parent` opens a structure, the lines after it are its own elements."""
    definitions = list(structures(source))
    systems = implied_systems(source)
    inherited = {}
    for definition in definitions:
        names = {e["path"].split(".")[-1] for e in definition["snapshot"]["element"] if e["path"].count(".") == 1}
        inherited[definition["name"]] = names
    lines = []
    for definition in definitions:
        name = definition["name"]
        if definition["kind"] == "primitive-type":
            continue
        parent = definition.get("baseDefinition", "").rsplit("/", 1)[-1]
        by_path = {}
        parents = {name: parent}
        for element in definition["snapshot"]["element"]:
            path = element["path"]
            owner, _, leaf = path.rpartition(".")
            if not owner:
                continue
            codes = [item["code"] for item in element.get("type", [])]
            if codes and codes[0] in ("BackboneElement", "Element") and len(codes) == 1 and owner != "":
                parents[path] = codes[0]
                by_path.setdefault(path, [])
            kind = parents.get(owner, parent)
            if leaf in inherited.get(kind, ()):
                continue
            if element["max"] == "0":
                continue
            by_path.setdefault(owner, []).append((leaf, element))
        if name not in by_path:
            by_path[name] = []
        for owner in sorted(by_path, key=lambda p: (p.count("."), 0)):
            lines.append(f":{owner}\t{parents[owner]}")
            for leaf, element in by_path[owner]:
                cardinality = f"{element['min']}{element['max']}"
                summary = "S" if element.get("isSummary") else ""
                lines.append(f"{leaf}\t{cardinality}\t{summary}\t{' '.join(type_code(element, 'concrete', systems))}")
    return lines


def branches(expression):
    """Splits a union at its top-level bars."""
    depth, current, result = 0, "", []
    for character in expression:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            result.append(current.strip())
            current = ""
        else:
            current += character
    return result + [current.strip()]


def parameter_rows(resource):
    """One row per base: (base, code, type, targets, expression)."""
    expression = resource.get("expression")
    if resource["code"] in EXCLUDED or not expression:
        return
    for base in resource["base"]:
        if base in ("Resource", "DomainResource"):
            own = branches(expression)
        else:
            own = [part for part in branches(expression) if re.match(rf"\(*{base}\b", part)]
            # InsurancePlan's "name" is published as paths relative to the type.
            own += [f"{base}.{part}" for part in branches(expression) if re.match(r"[a-z]", part)]
        if not own:
            raise SystemExit(f"{base} {resource['code']}: no branch of {expression}")
        targets = sorted(resource.get("target", []))
        resolved = [re.search(r"resolve\(\) is (\w+)\)$", part) for part in own]
        if all(resolved):
            targets = sorted({match.group(1) for match in resolved})
        # No target stands for any type.
        if "Resource" in targets or len(targets) > 140:
            targets = []
        base = "*" if base in ("Resource", "DomainResource") else base
        text = " | ".join(re.sub(r"\s*=\s*", "=", part) for part in own)
        yield base, resource["code"], resource["type"], ",".join(targets), text


def relative(expression, base):
    """The branches of an expression relative to the resource, as composites write theirs; a SampledData has no one value and is left out."""
    own = {re.sub(rf"^\(?{base}\.(\w+) as (\w+)\)$", r"\1.as(\2)", part) for part in branches(expression)}
    return {re.sub(rf"^{base}\.", "", part).lower() for part in own if "SampledData" not in part}


# Components whose published expressions stand at each other's definition: `relatesto` (a reference) has `code`, and `relation` (a token) has `target`.
MENDED_COMPONENTS = {("DocumentReference", "relatesto"): "target", ("DocumentReference", "relation"): "code"}


def component_parameters(resource, base, known):
    """Each component as (code of the parameter that defines its type, expression within the element)."""
    for component in resource["component"]:
        other = known[(base, component["definition"].rsplit("/", 1)[-1])]
        expression = component["expression"].replace("%resource.", f"{base}.")
        yield other, MENDED_COMPONENTS.get((base, other[1]), expression)


def composition(resource, row, known, composites):
    """What a composite consists of, in one of three forms.

    ` $ code $ code`: parameters of the resource itself, of which it has one; the composite holds where both do.
    ` $ or code $ or code`: other composites, one for each branch of the expression; it holds where one of them does.
    ` $ code=path $ code=path`: paths from one element (or, where they begin with the type, from the resource) with the parameter that says how
    their values compare; it holds where all hold within one element."""
    base, _, _, _, expression = row
    components = list(component_parameters(resource, base, known))
    if expression == base and all(relative(path, base) == relative(other[4], base) for other, path in components):
        return "".join(f" $ {other[1]}" for other, _ in components)
    paths = [component["expression"] for component in resource["component"]]
    parts = [composites.get((base, branch, *paths)) for branch in branches(expression)]
    if len(parts) > 1 and all(parts):
        return "".join(f" $ or {part}" for part in parts)
    return "".join(f" $ {other[1]}={path}" for other, path in components)


def published_parameters(source):
    resources = [entry["resource"] for entry in load(source / "r4-definitions" / "search-parameters.json.gz")["entry"]]
    # What a composite's component refers to, by base and the id of the definition; and composites by what they are made of.
    known, composites = {}, {}
    for resource in resources:
        for row in parameter_rows(resource):
            known[(row[0], resource["id"])] = row
            if resource["type"] == "composite":
                paths = [component["expression"] for component in resource["component"]]
                composites[(row[0], row[4], *paths)] = resource["code"]
    for resource in resources:
        for row in parameter_rows(resource):
            if resource["type"] == "composite":
                row = row[:4] + (row[4] + composition(resource, row, known, composites),)
            yield row


def guide_parameters(source):
    for entry in load(source / "r4-definitions" / "search-parameters-uscore.json")["entry"]:
        yield from parameter_rows(entry["resource"])
    with tarfile.open(source / "carin-bb" / "packages" / "carin4bb-200.tgz") as package:
        for member in sorted(package.getmembers(), key=lambda m: m.name):
            if re.search(r"/SearchParameter-[^/]*\.json$", member.name):
                yield from parameter_rows(json.load(package.extractfile(member)))


def search_parameters(source):
    path = OUTPUT / "search-parameters.tsv"
    keys, highest = {}, 0
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#next"):
                highest = int(line.split("\t")[1]) - 1
                continue
            key, base, code = line.split("\t")[:3]
            keys[(base, code)] = int(key)
    rows = {}
    for row in published_parameters(source):
        rows.setdefault(row[:2], row)
    for row in guide_parameters(source):
        if row[0] != "*" and ("*", row[1]) not in rows:
            rows.setdefault(row[:2], row)
    # PACIO widens Encounter.based-on of R4 by an extension; the wider one serves both.
    for row in parameter_rows(load(source / "pacio-rt" / "searchparameter-encounter-basedon.json")):
        rows[row[:2]] = row
    lines = []
    for identity in sorted(rows):
        if identity not in keys:
            highest += 1
            keys[identity] = highest
        lines.append("\t".join((str(keys[identity]),) + rows[identity]))
    return [f"#next\t{highest + 1}"] + lines


def compartments(source):
    lines = []
    for name in ("patient", "encounter", "relatedPerson", "practitioner", "device"):
        definition = load(source / "r4-definitions" / "compartments" / f"CompartmentDefinition-{name}.json")
        for resource in definition["resource"]:
            # `{def}` stands for the compartment's own resource.
            codes = [code for code in resource.get("param", []) if code != "{def}"]
            if codes:
                lines.append("\t".join((definition["code"], resource["code"], " ".join(codes))))
    published = {tuple(line.split("\t")[:2]) for line in lines}
    for membership in ADDED_MEMBERSHIPS:
        if membership[:2] in published:
            raise SystemExit(f"{membership}: published by now")
        lines.append("\t".join(membership))
    return lines


def write(name, lines):
    (OUTPUT / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(lines)} lines")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    source = pathlib.Path(sys.argv[1])
    OUTPUT.mkdir(exist_ok=True)
    write("elements.tsv", elements(source))
    write("search-parameters.tsv", search_parameters(source))
    write("compartments.tsv", compartments(source))


if __name__ == "__main__":
    main()
