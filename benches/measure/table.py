"""The one table, for people."""


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(figures):
    middle = number(figures["median"])
    if figures["runs"] == 1:
        return middle
    return f"{middle} ({number(figures['min'])}-{number(figures['max'])})"


def line(row):
    """One case: ours, each peer with the ratio, the aims."""
    parts = [f"{row.case:46} {spread(row.figures['motet']):>26} {row.unit}"]
    for tool, figures in row.figures.items():
        if tool != "motet":
            ratio = row.ratio.get(tool)
            times = "" if ratio is None else f" = {ratio:.2f}x" if ratio < 10 else f" = {ratio:.0f}x"
            parts.append(f"{tool} {spread(figures)}{times}")
    for text, met in row.aims.items():
        parts.append(f"{'met' if met else 'MISSED'}: {text}")
    return " | ".join(parts)


def explain():
    return "case, median (least-most) of ours | each peer, and how many times better ours is (more than 1: ours) | aims"


def summary(board):
    aims = [(row, text, met) for row in board.rows for text, met in row.aims.items()]
    missed = [(row, text) for row, text, met in aims if not met]
    lines = [f"aims met: {len(aims) - len(missed)} of {len(aims)}"]
    lines += [f"  missed: {row.case}: {text}" for row, text in missed]
    lines += [f"left out: {reason}" for reason in board.left_out]
    return "\n".join(lines)
