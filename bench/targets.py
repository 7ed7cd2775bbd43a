"""targets.py WORK K... -- SEED...: the tables of bench/targets.sh, as Markdown, from the judgements and caches in WORK."""
import json
import statistics
import sys

KL_MARGIN, ECE_MARGIN = 0.02, 0.01  # stated before anything was run
T_90 = {2: 6.314, 3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895}  # Student's t, 95 % point, by seeds


def load(work, name):
    with open(f"{work}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


def spread(values, form):
    mean = f"{statistics.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):{form.lstrip('+')}}"


def verdict(differences, margin):
    """Two one-sided t tests at 5 %, as an interval: inside the margin, outside of it, or neither."""
    mean = statistics.mean(differences)
    half = T_90[len(differences)] * statistics.stdev(differences) / len(differences) ** 0.5
    low, high = mean - half, mean + half
    if -margin < low and high < margin:
        return low, high, "equivalent"
    return low, high, "worse" if low >= margin else "better" if high <= -margin else "open"


def main(work, ks, seeds):
    caches = {"dense": "dense", "draws": f"draws-cache-{seeds[0]}"} | {
        f"{arm}-{k}": f"{arm}-{k}-cache" for k in ks for arm in ("top", "renorm")}
    header = {arm: load(f"{work}/{cache}", "cache") for arm, cache in caches.items()}
    labels = {"dense": "dense (states before the head)", "draws": f"{header['draws']['header']['draws']} draws"}
    for k in ks:
        labels |= {f"top-{k}": f"top {k} with tail", f"renorm-{k}": f"top {k} renormalised"}
    results = {arm: [load(work, f"{arm}-{seed}") for seed in seeds] for arm in labels}
    kl = {arm: [r["kl"]["mean"] for r in rs] for arm, rs in results.items()}
    ece = {arm: [r["calibration"]["ece"] for r in rs] for arm, rs in results.items()}

    cut = load(work, "cut")
    print(f"Held out: {cut['positions']} positions of {cut['documents']} documents; "
          f"{len(seeds)} seeds, ± is their standard deviation; not trained: KL {cut['kl']['mean']:.3f}, perplexity "
          f"{cut['perplexity']:.0f}\n")
    print("| targets | bytes a token | KL | perplexity | calibration error | confidence - accuracy | acceptance |\n"
          "|---|---|---|---|---|---|---|")
    for arm, label in labels.items():
        rs = results[arm]
        over = [r["calibration"]["confidence"] - r["calibration"]["accuracy"] for r in rs]
        print(f"| {label} | {header[arm]['bytes_per_token']:,.1f} | {spread(kl[arm], '.4f')} | "
              f"{spread([r['perplexity'] for r in rs], '.1f')} | {spread(ece[arm], '.4f')} | {spread(over, '+.4f')} | "
              f"{spread([r['acceptance']['mean'] for r in rs], '.4f')} |")
    if len(seeds) == 1:
        return  # nothing to judge a difference by
    print("\n| beside dense | KL, 90 % interval | within 2 % | calibration error, 90 % interval | within 0.01 |\n"
          "|---|---|---|---|---|")
    for arm in [arm for arm in labels if arm != "dense"]:
        low, high, says = verdict([a / b - 1 for a, b in zip(kl[arm], kl["dense"])], KL_MARGIN)
        ece_low, ece_high, ece_says = verdict([a - b for a, b in zip(ece[arm], ece["dense"])], ECE_MARGIN)
        print(f"| {labels[arm]} | {low:+.2%} to {high:+.2%} | {says} | {ece_low:+.4f} to {ece_high:+.4f} | {ece_says} |")


if __name__ == "__main__":
    split = sys.argv.index("--")
    main(sys.argv[1], sys.argv[2:split], sys.argv[split + 1:])
