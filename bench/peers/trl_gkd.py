#!/usr/bin/env python3
"""TRL's GKDTrainer off-policy on a CPU: teacher and student in each step, on given text, forward KL.

Settings as its documentation shows them but for those that cost time for nothing here: gradient checkpointing is off.
Tokens counted are the real ones, padding is not. Prints one JSON object; logs go to standard error.
"""
import argparse
import contextlib
import json
import sys
import tempfile
import time

import torch
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl.experimental.gkd import GKDConfig, GKDTrainer

SEQUENCE = 512
TURN_TOKENS = 40  # room for the marks of the turns and the question
TURNS = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.start)
        print(f"step {len(self.seconds)}: {self.seconds[-1]:.2f} s", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("student")
    parser.add_argument("text", help="JSON lines with a text each")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=1, help="steps that do not count")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def conversations(a, tokenizer):
    """Answers that nearly fill a sequence: the collator refuses those that leave no room for a prompt."""
    length, wanted, ids = SEQUENCE - TURN_TOKENS, a.batch * a.steps, []
    with open(a.text, encoding="utf-8") as lines:
        while len(ids) < length * wanted:
            ids += tokenizer.encode(json.loads(next(lines))["text"], add_special_tokens=False)
    answers = [tokenizer.decode(ids[i * length : (i + 1) * length]) for i in range(wanted)]
    return Dataset.from_list([
        {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": answer}]} for answer in answers
    ])


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    tokenizer = AutoTokenizer.from_pretrained(a.teacher)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or "<|im_end|>"
    tokenizer.chat_template = tokenizer.chat_template or TURNS
    fast = a.precision == "bf16"
    teacher = AutoModelForCausalLM.from_pretrained(a.teacher, dtype=torch.bfloat16 if fast else torch.float32)
    student = AutoModelForCausalLM.from_pretrained(a.student, dtype=torch.float32)
    clock, tokens = Clock(), []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        settings = GKDConfig(
            output_dir=folder, per_device_train_batch_size=a.batch, max_steps=a.steps, max_length=SEQUENCE, lmbda=0.0,
            beta=0.0, temperature=1.0, learning_rate=6e-4, use_cpu=True, bf16=fast, gradient_checkpointing=False,
            save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False)
        trainer = GKDTrainer(model=student, teacher_model=teacher, args=settings, processing_class=tokenizer,
                             train_dataset=conversations(a, tokenizer), callbacks=[clock])
        collate = trainer.data_collator

        def counting(examples):
            batch = collate(examples)
            tokens.append(int(batch["attention_mask"].sum()))
            return batch

        trainer.data_collator = counting
        trainer.train()
    rates = [n / s for n, s in zip(tokens, clock.seconds)]
    print(json.dumps({"tokens_per_s": rates[a.warmup :], "tokens": tokens, "versions": {"trl": trl.__version__}}))


if __name__ == "__main__":
    main()
