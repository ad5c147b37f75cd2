"""What an operation will cost and how it fails, told without running it. Start with `explain.py`; words: `explanation.py`."""

from .as_json import as_json
from .calls import ServiceMissing
from .estimating import Formula
from .explain import cost_formula, explain
from .explanation import Call, ExplainedField, Explanation
from .measured import measured
from .selections import TooLarge
from .values import VariablesUnfit

__all__ = [
    "Call",
    "ExplainedField",
    "Explanation",
    "Formula",
    "ServiceMissing",
    "TooLarge",
    "VariablesUnfit",
    "as_json",
    "cost_formula",
    "explain",
    "measured",
]
