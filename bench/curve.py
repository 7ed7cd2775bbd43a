"""curve.py WORK: the tables of bench/curve.sh, as Markdown, from the judgements in WORK, and the law fitted to them."""
import glob
import json
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def finished(path):
    """Tokens trained on and seconds of training, of a run's metrics."""
    with open(path, encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    last = [e for e in events if e.get("event") == "finished"][-1]
    return last["total_tokens"], last["active"]


def law(points):
    """(floor, a, b, largest residual) of kl = floor + a * tokens^-b by least squares: b over a grid, the rest in closed
    form, the floor not below zero."""
    best = None
    for step in range(1, 300):
        b = step / 200
        x = [n ** -b for n, _ in points]
        y = [kl for _, kl in points]
        mx, my = sum(x) / len(x), sum(y) / len(y)
        a = sum((u - mx) * (v - my) for u, v in zip(x, y)) / sum((u - mx) ** 2 for u in x)
        floor = my - a * mx
        if floor < 0:
            floor, a = 0.0, sum(u * v for u, v in zip(x, y)) / sum(u * u for u in x)
        errors = [v - floor - a * u for u, v in zip(x, y)]
        square = sum(e * e for e in errors)
        if best is None or square < best[0]:
            best = square, floor, a, b, max(map(abs, errors))
    return best[1:]


def with_error(s, form):
    """A mean and its standard error, which text of one title has not."""
    return f"{s['mean']:{form}}" + ("" if s["stderr"] is None else f" ± {s['stderr']:{form}}")


def row(label, tokens, seconds, r):
    print(f"| {label} | {tokens} | {seconds} | {r['perplexity']:.1f} | {r['perplexity'] / r['teacher_perplexity']:.2f} | "
          f"{with_error(r['kl'], '.4f')} | {with_error(r['top1'], '.1%')} | {r['acceptance']['mean']:.4f} |")


def main(work):
    cut = load(f"{work}/cut.json")
    print(f"Held out: {cut['positions']} positions of {cut['documents']} documents; teacher's perplexity "
          f"{cut['teacher_perplexity']:.1f}; ± is one standard error, clustered by title\n")
    print("| student | tokens | seconds of training | perplexity | over the teacher's | KL to the teacher | top-1 agreement | "
          "alpha |\n|---|---|---|---|---|---|---|---|")
    row("cut", 0, 0, cut)
    fitted = "no law: fewer than four runs"
    for loss, label in (("forward_kl", "distilled"), ("ce", "twin (cross-entropy)")):
        runs = sorted(((*finished(path), load(path.replace(".metrics.jsonl", ".json")))
                       for path in glob.glob(f"{work}/{loss}-*.metrics.jsonl")), key=lambda run: run[0])
        for tokens, seconds, r in runs:
            row(label, f"{tokens:,}", f"{seconds:,.0f}", r)
        if loss == "forward_kl" and len(runs) > 3:
            points = [(tokens, r["kl"]["mean"]) for tokens, _, r in runs]
            floor, a, b, worst = law(points)
            fitted = f"KL = {floor:.3f} + {a:.4g} * tokens^-{b:.3f}, off by {worst:.4f} at most"
            if len(points) > 4:
                tokens, kl = points[-1]
                floor, a, b, _ = law(points[:-1])
                said = floor + a * tokens ** -b
                fitted += f"; fitted without the longest run it says {said:.4f} for that one, off by {said - kl:+.4f}"
    print(f"\n{fitted}")


if __name__ == "__main__":
    main(sys.argv[1])
