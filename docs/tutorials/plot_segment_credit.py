"""
Credit for segments: which step was wrong?
==========================================

A small language model calculates in steps, and is told only whether the answer was right. One
wrong step spoils it. A reward for the whole blames every step alike; the change of the expected
reward over each segment finds the one.
"""

# %%
# The task and the model
# ----------------------
# ``"3+1*2="`` is answered from left to right modulo 5, ``"4;3#3"``: partial results, then the
# answer. A transformer made from scratch imitates a teacher who makes mistakes.

import matplotlib.pyplot as plt
import torch

from dfl.rl.segment import SegmentPolicyOptimizer, TokenPolicy, chain_advantages, mc_values
from dfl.rl.segment.tasks import (
    ModularArithmetic,
    character_tokenizer,
    imitate,
    tiny_transformer,
)

task = ModularArithmetic(n_steps=3, modulus=5)
tokenizer = character_tokenizer(task.alphabet)
model = tiny_transformer(tokenizer, hidden_size=64, n_layers=2, random_state=0)
lesson = task.draw(4096, noise=0.15, random_state=0)
imitate(
    model,
    tokenizer,
    lesson.prompts,
    lesson.traces,
    max_iter=8,
    learning_rate=3e-3,
    random_state=0,
)

# %%
# A wrong answer, step by step
# ----------------------------
# The answer below has a mistake in its second step, and goes on correctly from there. At each place
# the text is completed 200 times: the share of right answers is the value of the place.

prompt, completion = "3+1*2-4=", "4;1;2#2"  # 4 * 2 is 8, which is 3 modulo 5
ids = torch.tensor(tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id])
policy = TokenPolicy(model.eval(), (tokenizer.eos_token_id,))
places = torch.arange(-1, len(ids) - 1)


def judge(rows, completions):
    texts = tokenizer.batch_decode([c.tolist() for c in completions], skip_special_tokens=True)
    return torch.tensor(task.reward(texts, texts, answer=["4"] * len(texts)))


values = mc_values(
    policy,
    [torch.tensor(tokenizer(prompt)["input_ids"])],
    [0] * len(places),
    [ids[: place + 1] for place in places],
    200,
    judge,
    max_completion_length=10,
    generator=torch.Generator().manual_seed(0),
)
advantages = chain_advantages(places, values, reward=0.0, length=len(ids))

figure, axes = plt.subplots(figsize=(7, 3))
axes.bar(range(len(ids)), advantages, label="each token, from values")
axes.axhline(-float(values[0]), color="gray", linestyle="--", label="the whole, reward less mean")
axes.set_xticks(range(len(ids)), [*completion, "end"])
axes.set_ylabel("advantage")
axes.set_title(f"{prompt} {completion}")
axes.legend()

# %%
# Learning
# --------
# ``SegmentPolicyOptimizer`` does this for every completion, with a few completions for each value,
# at the places where the model was not sure.

problems = task.draw(1000, random_state=1)
judged = task.draw(300, random_state=2)
optimizer = SegmentPolicyOptimizer(
    model,
    tokenizer,
    task.reward,
    estimator="chain",
    max_iter=20,
    cutpoint_interval=1,
    max_completion_length=10,
    learning_rate=3e-4,
    per_device_train_batch_size=64,
    gradient_accumulation_steps=1,
    random_state=0,
).fit(problems.prompts, problems.columns)
right = [entry["reward"] for entry in optimizer.history_]
print(f"right answers in training: {right[0]:.2f} at first, {sum(right[-5:]) / 5:.2f} at last")
print(optimizer.decide(judged.prompts[:3]), optimizer.score(judged.prompts, judged.columns))
plt.show()
