"""Small faults put into a module's source, one at a time: what a test suite must notice.

A mutation changes an operator, a constant, a condition, a returned or assigned value, or drops a statement.
Left out, because nothing depends on them: docstrings, types, and the wording of messages (strings in
`raise`, `assert`, and f-strings).
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
}


class Mutation(NamedTuple):
    """The `index`-th of its file. `function` is the path of the function or method that it is in ("" at the
    module's level), `change` says what became what."""

    index: int
    line: int
    function: str
    change: str


class _Mutator(ast.NodeTransformer):
    """Applies the mutation number `wanted`, and notes all that it could apply."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.found = wanted, []
        self.path: list[str] = []
        self.depth = 0

    def offer(self, node: ast.AST, mutated: ast.AST) -> ast.AST:
        """The node, or what it becomes if that is the mutation wanted."""
        ast.copy_location(mutated, node)
        index = len(self.found)
        change = f"{_text(node)} -> {_text(mutated)}"
        self.found.append(Mutation(index, node.lineno, ".".join(self.path), change))
        return mutated if index == self.wanted else node

    def in_scope(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        # A nested function is part of the one around it.
        outermost = self.depth == 0
        if outermost:
            self.path.append(node.name)
        self.depth += isinstance(node, ast.FunctionDef)
        node.body = [self.visit(each) for each in _without_docstring(node.body)]
        if isinstance(node, ast.FunctionDef):
            node.args.defaults = [self.visit(each) for each in node.args.defaults]
            node.args.kw_defaults = [each and self.visit(each) for each in node.args.kw_defaults]
            self.depth -= 1
        if outermost:
            self.path.pop()
        return node

    visit_ClassDef = visit_FunctionDef = in_scope  # noqa: N815  the names that `ast` calls

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [self.visit(each) for each in _without_docstring(node.body)]
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self.offer(node, ast.Pass())

    def visit_Import(self, node: ast.AST) -> ast.AST:
        return node

    visit_ImportFrom = visit_Assert = visit_JoinedStr = visit_Import  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value:
            node.value = self.visit(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        node.value = self.visit(node.value)
        if self.depth and not _is_constant(node.value, None):
            return self.offer(node, ast.Assign(node.targets, ast.Constant(None), lineno=node.lineno))
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return node
        self.generic_visit(node)
        # Without `super()` the function's code has other cells, and cannot take the place of the original.
        droppable = isinstance(node.value, ast.Call) and "super()" not in _text(node)
        return self.offer(node, ast.Pass()) if droppable else node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value and not _is_constant(node.value, None):
            return self.offer(node, ast.Return(ast.Constant(None)))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # The first argument of `cast` is for the type checker.
        is_cast = isinstance(node.func, ast.Name) and node.func.id == "cast"
        node.func = self.visit(node.func)
        node.args = [*node.args[:is_cast], *(self.visit(each) for each in node.args[is_cast:])]
        node.keywords = [self.visit(each) for each in node.keywords]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        for place, operator in enumerate(node.ops):
            changed = [*node.ops[:place], COMPARISONS[type(operator)](), *node.ops[place + 1 :]]
            node = self.offer(node, ast.Compare(node.left, changed, node.comparators))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return self.offer(node, ast.BoolOp(other, node.values))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        other = OPERATORS.get(type(node.op))
        return self.offer(node, ast.BinOp(node.left, other(), node.right)) if other else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, node.operand) if isinstance(node.op, ast.Not | ast.USub) else node

    def visit_condition(self, node: ast.If | ast.IfExp | ast.While) -> ast.AST:
        self.generic_visit(node)
        node.test = self.negated(node.test)
        return node

    visit_If = visit_IfExp = visit_While = visit_condition  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs = [self.negated(test) for test in node.ifs]
        return node

    def negated(self, test: ast.expr) -> ast.AST:
        # What other mutations negate is not negated again.
        if isinstance(test, ast.Compare | ast.UnaryOp):
            return test
        return self.offer(test, ast.UnaryOp(ast.Not(), test))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool):
            return self.offer(node, ast.Constant(not value))
        if isinstance(value, int):
            return self.offer(node, ast.Constant(value + 1))
        if isinstance(value, str):
            return self.offer(node, ast.Constant(f"{value}_"))
        return node

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return self.offer(node, ast.Continue())

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return self.offer(node, ast.Break())


def mutations(source: str) -> list[Mutation]:
    """All that can be applied to the source of a module."""
    mutator = _Mutator()
    mutator.visit(ast.parse(source))
    return mutator.found


def mutated(source: str, index: int) -> ast.Module:
    """The module with that one mutation."""
    tree = _Mutator(index).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


def _without_docstring(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A body is never left empty."""
    for place, statement in enumerate(body):
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if place or len(body) == 1 or not is_text:
            yield statement


def _is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:100]
