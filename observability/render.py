#!/usr/bin/env python3
"""Draws dashboard.json with what a Prometheus knows. Needs matplotlib.

It knows the kinds of panels that this dashboard has, and overrides by regular expression.
"""
import argparse, json, math, pathlib, re, time, urllib.parse, urllib.request
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colors, dates, ticker

WIDTH, UNIT, GAP = 1600, 36, 8  # pixels: the picture, one step of the grid downwards, between panels
PAGE, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9e3", "#34363d"
PALETTE = ["#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#CA95E5", "#56A64B", "#FFB357"]
SCALES = {"s": [(1, " s"), (1e-3, " ms"), (1e-6, " µs")], "bytes": [(2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")],
          "dtdurations": [(86400, " days"), (3600, " hours"), (60, " min"), (1, " s")]}


class Source:
    """A Prometheus, and the variables that Grafana puts into queries."""

    def __init__(self, url, start, end, scrape, templates):
        self.url, self.start, self.end, self.step = url.rstrip("/"), start, end, max(scrape, math.ceil((end - start) / 300))
        self.times = list(range(start, end + 1, self.step))
        self.dates = dates.date2num(np.array(self.times, "datetime64[s]"))
        self.variables = {"__range": f"{end - start}s", "__rate_interval": f"{max(self.step + scrape, 4 * scrape)}s"}
        for template in templates:
            if match := re.match(r"label_values\((.+), *(\w+)\)$", template.get("definition", "")):
                values = self.get(f"label/{match[2]}/values", {"match[]": match[1], "start": start, "end": end})
                self.variables[template["name"]] = "|".join(re.escape(value).replace("\\", "\\\\") for value in values)

    def get(self, path, query):
        query = {key: re.sub(r"\$(\w+)", lambda m: self.variables[m[1]], str(value)) for key, value in query.items()}
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer:
            return json.load(answer)["data"]

    def series(self, target):
        """The labels, the legend and the values of each series: at all times, or at the end if the query is instant."""
        instant = target.get("instant")
        path, when = ("query", {"time": self.end}) if instant else ("query_range", {"start": self.start, "end": self.end, "step": self.step})
        for one in self.get(path, {"query": target["expr"], **when})["result"]:
            points = dict([one["value"]] if instant else one["values"])
            values = np.array([float(points.get(at, "nan")) for at in ([self.end] if instant else self.times)])
            yield one["metric"], re.sub(r"\{\{(\w+)\}\}", lambda m: one["metric"].get(m[1], ""), target["legendFormat"]), values


def text_of(value, unit, decimals=None):
    if unit == "percentunit":
        return f"{100 * value:.3g} %" if decimals is None else f"{100 * value:.{decimals}f} %"
    factor, name = next((one for one in SCALES.get(unit, [(1e6, "M"), (1e3, "K")]) if abs(value) >= one[0]), (1, ""))
    suffix = unit[7:] if unit.startswith("suffix:") else {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")
    return f"{value / factor:.4g}{name}{suffix}" if value else "0"


def colour(name):
    name = re.sub(r"^(super-|semi-)?(dark|light)-", "", name)
    return name if colors.is_color_like(name) else "#8e8e99"


def by_threshold(value, defaults):
    return colour([step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]][-1])


def looks(series, overrides):
    """Colour and dashes for each series: the palette's next, unless an override says otherwise."""
    shades = {}
    for i, (_, legend, _) in enumerate(series):
        chosen, dashes = PALETTE[i % len(PALETTE)], "-"
        for one in overrides:
            if not re.search(one["matcher"]["options"].strip("/"), legend):
                continue
            wanted = {p["id"]: p["value"] for p in one["properties"]}
            dashes = (0, wanted["custom.lineStyle"]["dash"]) if "custom.lineStyle" in wanted else dashes
            if "color" in wanted:
                chosen = np.array(colors.to_rgb(colour(wanted["color"]["fixedColor"])))
                if wanted["color"]["mode"] == "shades":
                    nth = shades[one["matcher"]["options"]] = shades.get(one["matcher"]["options"], -1) + 1
                    chosen = chosen + (1 - chosen) * (0.25 * nth % 0.8)
        yield chosen, dashes


def timeseries(ax, panel, source, series):
    defaults, custom = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["defaults"]["custom"]
    floor = np.zeros(len(source.times))
    for (_, legend, values), (line, dashes) in zip(series, looks(series, panel["fieldConfig"]["overrides"])):
        ax.plot(source.dates, floor + values, color=line, ls=dashes, lw=1.2 * custom["lineWidth"])
        ax.fill_between(source.dates, floor, floor + values, color=line, alpha=custom["fillOpacity"] / 100, lw=0)
        ax.plot([], [], color=line, ls=dashes, label=legend)
        if custom["stacking"]["mode"] == "normal":
            floor = floor + np.nan_to_num(values)
    ax.set_yscale(custom["scaleDistribution"]["type"])
    if custom["scaleDistribution"]["type"] == "linear":
        ax.set_ylim(0, None if any(np.nanmax(values, initial=0) > 0 for *_, values in series) else 1)
        quarter = 2 ** round(math.log2(ax.get_ylim()[1] / 4))
        ax.yaxis.set_major_locator(ticker.MultipleLocator(quarter) if defaults["unit"] == "bytes" else ticker.MaxNLocator(5))
    for step in defaults["thresholds"]["steps"] if custom["thresholdsStyle"]["mode"] != "off" else []:
        if step["value"] and step["value"] <= ax.get_ylim()[1]:
            ax.axhline(step["value"], color=colour(step["color"]), ls="--", lw=1)
    ax.yaxis.set_major_formatter(lambda value, _: text_of(value, defaults["unit"]))
    ax.grid(color=FAINT, lw=0.6)


def heatmap(ax, panel, source, series):
    series.sort(key=lambda one: float(one[0]["le"]))
    cells = np.diff([values for *_, values in series], axis=0, prepend=0)
    ax.pcolormesh(source.dates, range(len(series)), np.where(cells > 1e-9, cells, np.nan), cmap="turbo", norm=colors.PowerNorm(0.5), rasterized=True)
    ax.set_yticks(range(0, len(series), 2), [text_of(float(one[0]["le"]), panel["options"]["yAxis"]["unit"]) for one in series[::2]])


def state_timeline(ax, panel, source, series):
    for row, (_, _, values) in enumerate(series):
        for state in np.unique(values[~np.isnan(values)]):
            look = by_threshold(state, panel["fieldConfig"]["defaults"])
            ax.fill_between(source.dates, row - 0.4, row + 0.4, where=values == state, step="post", color=look, alpha=0.7, lw=0)
    ax.set_yticks(range(len(series)), [legend for _, legend, _ in series])


def stat(ax, panel, source, series):
    defaults, values = panel["fieldConfig"]["defaults"], [value for *_, row in series for value in row if not math.isnan(value)]
    look = by_threshold(values[-1], defaults) if values else TEXT
    shown = text_of(values[-1], defaults["unit"], defaults.get("decimals")) if values else defaults["noValue"]
    ax.text(0.5, 0.55, shown, transform=ax.transAxes, ha="center", va="center", fontsize=20 if len(shown) < 10 else 16, color=look)
    if len(values) > 1:
        ax.fill_between(range(len(values)), values, color=look, alpha=0.2, lw=0)
        ax.set_ylim(0, 3 * max(values) or 1)


def table(ax, panel, source, series):
    names = panel["transformations"][0]["options"]["renameByName"]
    units = {one["matcher"]["options"]: p["value"] for one in panel["fieldConfig"]["overrides"] for p in one["properties"] if p["id"] == "unit"}
    rows = [[metric.get(key) or text_of(values[0], units.get(name, "short")) for key, name in names.items()] for metric, _, values in series]
    for y, row in enumerate([list(names.values())] + sorted(rows)):
        for x, cell in enumerate(row):
            ax.text(x / len(row), 0.95 - 0.18 * y, cell, transform=ax.transAxes, va="top", fontsize=9, weight="normal" if y else "bold", color=TEXT)


def draw(figure, height, panel, source):
    grid = panel["gridPos"]
    x, y, w, h = grid["x"] * WIDTH / 24, grid["y"] * UNIT, grid["w"] * WIDTH / 24, grid["h"] * UNIT
    at = lambda right, down: ((x + right) / WIDTH, 1 - (y + down) / height)
    figure.text(*at(14, 26), panel["title"], fontsize=12 if panel["type"] == "row" else 9, weight="bold", color=TEXT)
    if panel["type"] == "row":
        return
    figure.add_artist(plt.Rectangle(at(GAP / 2, h - GAP / 2), (w - GAP) / WIDTH, (h - GAP) / height, color=PANEL, zorder=-1))
    series = [one for target in panel["targets"] for one in source.series(target)]
    columns = max(1, int((w - 30) / (5.4 * max((len(one[1]) for one in series), default=1) + 32)))
    legend = 16 * math.ceil(len(series) / columns) if panel["type"] == "timeseries" else 0
    left, below = {"stat": (14, 8), "table": (14, 8), "state-timeline": (124, 30)}.get(panel["type"], (74, 30 + legend))
    ax = figure.add_axes((*at(left, h - below), (w - left - 16) / WIDTH, (h - below - 36) / height), facecolor="none", axisbelow=True)
    ax.tick_params(colors=TEXT, labelsize=8, length=0, which="both")
    ax.spines[:].set_visible(False)
    if panel["type"] in ("stat", "table"):
        ax.axis("off")
    else:
        ax.set_xlim(*dates.date2num(np.array([source.start, source.end], "datetime64[s]")))
        ax.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=7))
        ax.xaxis.set_major_formatter(dates.DateFormatter("%H:%M" if source.end - source.start < 2 * 86400 else "%d %b"))
    if series or panel["type"] in ("stat", "table"):
        {"timeseries": timeseries, "heatmap": heatmap, "state-timeline": state_timeline, "stat": stat, "table": table}[panel["type"]](ax, panel, source, series)
    else:
        ax.set_yticks([])
        ax.text(0.5, 0.5, panel["fieldConfig"]["defaults"].get("noValue", "no data"), transform=ax.transAxes, ha="center", color="#8e8e99")
    if legend:
        ax.legend(loc="upper left", bbox_to_anchor=at(14, h - legend - 8), bbox_transform=figure.transFigure, ncols=columns, fontsize=7.5,
                  frameon=False, labelcolor=TEXT, handlelength=1.2, columnspacing=1.2, labelspacing=0.3, borderpad=0, borderaxespad=0)


def main():
    parser = argparse.ArgumentParser(description="Draws dashboard.json with what a Prometheus knows.")
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--from", dest="start", type=int, metavar="SECONDS", help="Unix time; default: --minutes before --to")
    parser.add_argument("--to", type=int, default=int(time.time()), metavar="SECONDS", help="Unix time; default: now")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--scrape", type=int, default=15, metavar="SECONDS", help="how often Prometheus asks; default: 15")
    parser.add_argument("--out", required=True, metavar="FILE.svg|png")
    given = parser.parse_args()
    dashboard = json.loads(pathlib.Path(__file__).with_name("dashboard.json").read_text())
    start = given.to - 60 * given.minutes if given.start is None else given.start
    source = Source(given.prometheus, start, given.to, given.scrape, dashboard["templating"]["list"])
    height = UNIT * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) + GAP
    plt.switch_backend("agg")
    figure = plt.figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor=PAGE)
    for panel in dashboard["panels"]:
        draw(figure, height, panel, source)
    figure.savefig(given.out)


if __name__ == "__main__":
    main()
