"""`{{…}}` in a case: a name, or an expression over numbers and the population's values (`{{email(i*61)}}`)."""

import ast
import re


def substitute(value, names):
    if isinstance(value, str):
        return re.sub(r"\{\{(.+?)\}\}", lambda found: str(_evaluate(found[1].strip(), names)), value)
    if isinstance(value, list):
        return [substitute(item, names) for item in value]
    if isinstance(value, dict):
        # Steps within a step are substituted when they are played: their variables have no value yet.
        return {key: item if key == "steps" else substitute(item, names) for key, item in value.items()}
    return value


def _evaluate(expression, names):
    if expression in names:
        return names[expression]
    code = compile(ast.parse(expression, mode="eval"), f"{{{{{expression}}}}}", "eval")
    return eval(code, {"__builtins__": {}}, names)
