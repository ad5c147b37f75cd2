"""A plan made ready to run. Its stages are compiled when they are first met: of an interface's types most are never there."""

from __future__ import annotations

from .arguments import Names
from .leaves import Finish, finisher
from .plan import Leaf, Plan, Selection, Single
from .stage import Stage, stage_of
from .wanted import expected, innermost, wanted


class Program:
    """A plan with its compiled stages. State: which of them are compiled; bounded by the plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.wanted = wanted(plan.root)
        """What is read of the records of loaders, where that is not all."""
        self.expected = expected(plan.root)
        """What is read of what resolvers hand on, where that is not all."""
        self.argument_names: Names = {}
        self._stages: dict[Selection, Stage] = {}
        self._finishers: dict[Leaf, Finish] = {}

    def stage(self, selection: Selection) -> Stage:
        found = self._stages.get(selection)
        if found is None:
            found = self._stages[selection] = stage_of(selection)
        return found

    def prepare(self) -> None:
        """Compile all stages now, but for those of interfaces and unions."""
        open_ = [self.plan.root]
        while open_:
            selection = open_.pop()
            self.stage(selection)
            open_ += [each.selection for each in selection.deferred]
            inner = [innermost(field.shape) for field in selection.fields]
            open_ += [each.selection for each in inner if isinstance(each, Single)]

    def finisher(self, leaf: Leaf) -> Finish:
        found = self._finishers.get(leaf)
        if found is None:
            found = self._finishers[leaf] = finisher(leaf)
        return found

    def __repr__(self) -> str:
        return f"<Program {self.plan.operation.operation.value}, {len(self._stages)} stages compiled>"
