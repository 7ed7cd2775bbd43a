"""layers.py WORK SEED...: the table of bench/layers.sh, as Markdown, from the judgements and metrics in WORK."""
import statistics
import sys

from curve import finished
from targets import KL_MARGIN, load, spread, verdict

ARMS = {"plain": "forward KL", "fades": "and between layers, fading over a fifth", "stays": "and between layers, to the end"}


def main(work, seeds):
    results = {arm: [load(work, f"{arm}-{seed}") for seed in seeds] for arm in ARMS}
    ran = {arm: [finished(f"{work}/{arm}-{seed}.metrics.jsonl") for seed in seeds] for arm in ARMS}
    kl = {arm: [r["kl"]["mean"] for r in rs] for arm, rs in results.items()}
    cut = load(work, "cut")
    print(f"Held out: {cut['positions']} positions of {cut['documents']} documents; {len(seeds)} seeds of {ran['plain'][0][0]} "
          f"tokens, ± is their standard deviation; not trained: KL {cut['kl']['mean']:.3f}\n")
    print("| loss | KL | perplexity | acceptance | seconds | KL beside forward KL alone, 90 % interval | verdict |\n"
          "|---|---|---|---|---|---|---|")
    for arm, label in ARMS.items():
        rs, beside = results[arm], "| "
        if arm != "plain" and len(seeds) > 1:
            low, high, says = verdict([a / b - 1 for a, b in zip(kl[arm], kl["plain"])], KL_MARGIN)
            beside = f"{low:+.2%} to {high:+.2%} | {says}"
        print(f"| {label} | {spread(kl[arm], '.4f')} | {spread([r['perplexity'] for r in rs], '.1f')} | "
              f"{spread([r['acceptance']['mean'] for r in rs], '.4f')} | {spread([r[1] for r in ran[arm]], '.0f')} | {beside} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
