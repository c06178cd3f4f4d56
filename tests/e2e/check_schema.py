"""Files against a JSON Schema, in which no member may be missing:
    check_schema.py SCHEMA [--lines] FILE..."""
import json
import sys

import jsonschema


def strict(schema):
    """The schema, but what it does not name is refused: it describes all that there is."""
    if isinstance(schema, dict):
        if 'properties' in schema:
            schema.setdefault('additionalProperties', False)
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(strict(schema), format_checker=jsonschema.FormatChecker())
    is_lines = sys.argv[2] == '--lines'
    count = 0
    for path in sys.argv[3 if is_lines else 2:]:
        with open(path, encoding='utf-8') as file:
            texts = file.read().splitlines() if is_lines else [file.read()]
        for text in texts:
            count += 1
            for error in validator.iter_errors(json.loads(text)):
                sys.exit(f'{path}: {"/".join(map(str, error.absolute_path))}: {error.message}\n{text}')
    if count == 0:
        sys.exit('nothing was checked')


main()
