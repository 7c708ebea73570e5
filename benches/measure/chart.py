"""How cost grows with the work, as a chart, and whether it grows as the work does."""

import math

WIDTH, HEIGHT, MARGIN = 420, 300, 56
#: The cost may grow by so much more than the work: a slope of 1 on logarithmic axes is linear.
STEEPEST = 1.25


def slope(points):
    """The exponent of growth over the upper half of the points: 1 is linear."""
    upper = points[len(points) // 2 - 1 :] if len(points) > 3 else points
    (x1, y1), (x2, y2) = upper[0], upper[-1]
    return math.log(y2 / y1) / math.log(x2 / x1)


def panel(left, title, unit, points, things):
    """One picture on logarithmic axes, with a dashed line of linear growth through the last point."""
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)

    def place(x, y):
        across = math.log(x / low_x) / math.log(high_x / low_x)
        up = math.log(y / low_y) / math.log(high_y / low_y) if high_y > low_y else 0.5
        return left + MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts = [f'<text x="{left + MARGIN}" y="30" class="title">{title}</text>']
    parts.append(f'<polyline points="{path}" class="ours"/>')
    start = max(low_y, high_y * low_x / high_x)
    (x1, y1), (x2, y2) = place(low_x if start > low_y else low_x * start * high_x / (high_y * low_x), start), place(high_x, high_y)
    parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="linear"/>')
    for x, y in points:
        across, up = place(x, y)
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" class="point"/>')
        parts.append(f'<text x="{across:.1f}" y="{up - 8:.1f}" class="value">{y:,.0f}</text>')
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - MARGIN + 18}" class="value">{x:,}</text>')
    parts.append(f'<text x="{left + WIDTH / 2}" y="{HEIGHT - 14}" class="value">{things}; {unit}; dashed: linear</text>')
    return "\n".join(parts)


STYLE = (
    "text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold } .value { text-anchor: middle; font-size: 10px }"
    " .ours { fill: none; stroke: #0a6; stroke-width: 2 } .point { fill: #0a6 }"
    " .linear { stroke: #999; stroke-dasharray: 4 4 }"
)


def write(path, curves):
    """Writes the chart; `curves` are (title, unit, things, points)."""
    panels = [panel(index * WIDTH, title, unit, points, things) for index, (title, unit, things, points) in enumerate(curves)]
    width = WIDTH * len(curves)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}">'
    body = "\n".join([head, f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>\n"])
    path.write_text(body)
