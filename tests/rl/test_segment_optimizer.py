"""The whole path: from a folder to a trained model, killed fits, files, and bad input."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from dfl.exceptions import InvalidInputError, TrainingError
from dfl.rl.segment import SegmentPolicyOptimizer, TabularLanguageModel
from dfl.rl.segment.tasks import character_tokenizer

transformers = pytest.importorskip("transformers")

ALPHABET = "0123456789+="
PROMPTS = ["1+1=", "2+3=", "14+5=", "7="]
COLUMNS = {"digit": ["1", "2", "3", "4"]}


def saved(folder: Path, kind: str, *, padding: bool = True) -> str:
    """Save a tiny random model and its tokenizer as transformers does."""
    tokenizer = character_tokenizer(ALPHABET)
    shared = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    if kind == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=32,
            **shared,
        )
    else:
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=32, **shared)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    if not padding:
        tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    return {kind: saved(root / kind, kind) for kind in ("llama", "gpt2")}


def count(completions, digit, **others) -> list[float]:
    """Reward the share of a digit of the prompt's own."""
    assert {"prompts", "completion_ids"} <= set(others)
    return [text.count(d) / 6 for text, d in zip(completions, digit, strict=True)]


def optimizer(model, **rules) -> SegmentPolicyOptimizer:
    settings = {
        "reward": count,
        "max_iter": 2,
        "prompts_per_iteration": 3,
        "num_generations": 4,
        "max_completion_length": 6,
        "num_mc_rollouts": 2,
        "cutpoint_interval": 2,
        "segment_tokens": 2,
        "tree_structure": (3, 2),
        "learning_rate": 1e-2,
        "random_state": 0,
    }
    return SegmentPolicyOptimizer(model, **{**settings, **rules})


def weights(fitted: SegmentPolicyOptimizer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in fitted.model_.state_dict().items()}


def same(a: dict, b: dict, **tolerance) -> bool:
    assert a.keys() == b.keys()
    if tolerance:
        return all(torch.allclose(a[k], b[k], **tolerance) for k in a)
    return all(torch.equal(a[k], b[k]) for k in a)


class Killed(Exception):
    pass


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("estimator", "rules"),
    [("chain", {"beta": 0.01}), ("tree", {"replay_max_age": 2, "replay_per_prompt": 3})],
)
def test_from_a_folder_through_training_to_a_folder_and_on(
    kind, estimator, rules, folders, tmp_path, monkeypatch
) -> None:
    # a checkpoint after every iteration
    monkeypatch.setattr(sys.modules["dfl.training.train"], "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    rules = {**rules, "estimator": estimator, "max_iter": 4}
    before = transformers.AutoModelForCausalLM.from_pretrained(folders[kind]).state_dict()
    whole = optimizer(folders[kind], rollout_log=tmp_path / "whole.jsonl", **rules)
    whole.fit(PROMPTS, COLUMNS)
    assert not same(before, weights(whole))
    assert whole.budget_["optimizer_steps"] == 4

    def kill(entry) -> None:
        if entry["epoch"] == 3:
            raise Killed

    broken = optimizer(
        folders[kind],
        checkpoint=tmp_path / "state",
        rollout_log=tmp_path / "broken.jsonl",
        **rules,
    )
    with pytest.raises(Killed):
        broken.fit(PROMPTS, COLUMNS, callbacks=[kill])
    broken.fit(PROMPTS, COLUMNS)
    assert same(weights(whole), weights(broken))
    lines = [
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole.jsonl", "broken.jsonl")
    ]
    assert lines[0] == lines[1]
    told = {"row", "prompt", "completion", "completion_ids", "advantages"}
    told |= {"reward", "boundaries", "values"} if estimator == "chain" else {"depth", "value"}
    assert all(told <= set(line) for line in lines[0])
    assert [line["iteration"] for line in lines[0]] == sorted(x["iteration"] for x in lines[0])
    drop = {"seconds"}
    for one, other in zip(whole.history_, broken.history_, strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {
            k: v for k, v in other.items() if k not in drop
        }
    with pytest.raises(TrainingError, match="another training run"):
        optimizer(folders[kind], checkpoint=tmp_path / "state", **{**rules, "epsilon": 0.3}).fit(
            PROMPTS, COLUMNS
        )
    # our files, and those of transformers
    whole.save(tmp_path / "ours")
    again = SegmentPolicyOptimizer.load(tmp_path / "ours", reward=count)
    assert same(weights(whole), weights(again))
    assert again.decide(PROMPTS) == whole.decide(PROMPTS)
    assert again.score(PROMPTS, COLUMNS) == whole.score(PROMPTS, COLUMNS)
    whole.save_pretrained(tmp_path / "theirs")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").state_dict()
    assert same(weights(whole), theirs)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")("1+")["input_ids"]


@pytest.mark.parametrize("estimator", ["chain", "tree", "grpo", "rloo"])
def test_what_is_rewarded_becomes_likelier(estimator, folders) -> None:
    fitted = optimizer(folders["llama"], estimator=estimator, max_iter=25).fit(PROMPTS, COLUMNS)
    first, last = fitted.history_[0]["reward"], fitted.history_[-1]["reward"]
    assert last > first + 0.1
    rewards = fitted.evaluate(PROMPTS, COLUMNS, n_samples=3, temperature=1.0)
    assert rewards.shape == (4, 3)
    assert fitted.score(PROMPTS, COLUMNS, n_samples=3, temperature=1.0) == pytest.approx(
        rewards.mean().item()
    )
    assert fitted.score(PROMPTS, COLUMNS) > first
    # and with the sign turned it does not
    worse = optimizer(
        folders["llama"],
        estimator=estimator,
        max_iter=25,
        reward=lambda **told: [-r for r in count(**told)],
    ).fit(PROMPTS, COLUMNS)
    assert -worse.history_[-1]["reward"] <= first
    assert fitted.budget_["verifier_calls"] > 0
    entry = fitted.history_[-1]
    assert entry["optimizer_steps"] == fitted.budget_["optimizer_steps"]
    assert 0 < entry["mask_fraction"] <= 1


def test_the_same_seed_gives_the_same_and_nothing_of_the_users_is_touched(folders) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folders["gpt2"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["gpt2"])
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    found = [
        weights(optimizer(source, tokenizer=tokenizer).fit(PROMPTS, COLUMNS))
        for source in (model, model, folders["gpt2"])
    ]
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    assert torch.equal(state, torch.get_rng_state())
    assert same(kept, model.state_dict())
    other = weights(optimizer(model, tokenizer=tokenizer, random_state=1).fit(PROMPTS, COLUMNS))
    assert not same(found[0], other)


def test_accumulated_and_recomputed_gradients_are_the_same(folders) -> None:
    whole = optimizer(
        folders["llama"], per_device_train_batch_size=16, gradient_accumulation_steps=1, max_iter=1
    ).fit(PROMPTS, COLUMNS)
    tolerance = {"atol": 2e-4, "rtol": 0.0}
    for rules in (
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8},
        {"per_device_train_batch_size": 16, "gradient_checkpointing": True},
    ):
        other = optimizer(
            folders["llama"], **{"gradient_accumulation_steps": 1, "max_iter": 1, **rules}
        ).fit(PROMPTS, COLUMNS)
        assert other.budget_["optimizer_steps"] == whole.budget_["optimizer_steps"] == 1
        assert other.history_[0]["loss"] == pytest.approx(whole.history_[0]["loss"], abs=1e-5)
        assert same(weights(whole), weights(other), **tolerance)


def test_adapters_are_trained_alone_and_in_half_precision(folders, tmp_path) -> None:
    peft = pytest.importorskip("peft")
    adapters = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    fitted = optimizer(folders["llama"], peft_config=adapters, beta=0.1, bf16=True, max_iter=3)
    fitted.fit(PROMPTS, COLUMNS)
    first = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"]).state_dict()
    for name, value in fitted.model_.state_dict().items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        if "lora" in name:
            assert value.dtype == torch.float32
        else:
            assert torch.equal(value, first[plain])
    moved = [v for k, v in fitted.model_.state_dict().items() if "lora_B" in k]
    assert all(v.any() for v in moved)
    fitted.save(tmp_path / "ours")
    again = SegmentPolicyOptimizer.load(tmp_path / "ours")
    assert again.decide(PROMPTS) == fitted.decide(PROMPTS)
    fitted.save_pretrained(tmp_path / "adapters")
    assert (tmp_path / "adapters" / "adapter_config.json").exists()


def test_prompts_may_be_token_ids_and_chats(folders) -> None:
    ids = [[5, 6, 7], [4]]

    def ones(completion_ids, target) -> list[float]:
        return [each.count(t) / 6 for each, t in zip(completion_ids, target, strict=True)]

    model = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"])
    fitted = optimizer(model, reward=ones).fit(ids, {"target": [3, 4]})
    assert fitted.tokenizer_ is None
    (first, second) = fitted.decide(ids)
    assert all(isinstance(token, int) for token in first + second)
    assert fitted.decide(ids, temperature=1.0, random_state=1) == fitted.decide(
        ids, temperature=1.0, random_state=1
    )
    with pytest.raises(InvalidInputError, match="no tokenizer"):
        fitted.decide(["1+1="])

    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["llama"])
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}="
    seen = []

    def judged(prompts, completions) -> list[float]:
        seen.extend(completions)
        assert prompts[0] == [{"role": "user", "content": "1+1"}]
        return [float(len(each[0]["content"])) for each in completions]

    chat = [[{"role": "user", "content": "1+1"}]]
    talking = optimizer(model, tokenizer=tokenizer, reward=judged).fit(chat)
    assert seen[0][0]["role"] == "assistant"
    assert talking.decide(chat)[0][0]["role"] == "assistant"


def test_a_tokenizer_without_padding_will_do(folders, tmp_path) -> None:
    bare = saved(tmp_path / "bare", "llama", padding=False)
    assert transformers.AutoTokenizer.from_pretrained(bare).pad_token is None
    found = optimizer(bare).fit(PROMPTS, COLUMNS)
    assert same(weights(found), weights(optimizer(folders["llama"]).fit(PROMPTS, COLUMNS)))


def test_equal_rewards_are_told_and_nothing_moves(folders) -> None:
    before = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"]).state_dict()
    for estimator in ("grpo", "chain", "tree"):
        fitted = optimizer(
            folders["llama"],
            reward=lambda completions: [1.0] * len(completions),
            estimator=estimator,
        )
        with pytest.warns(UserWarning, match="nothing to learn from in any of 2 iterations"):
            fitted.fit(PROMPTS, COLUMNS)
        assert same(before, weights(fitted))
        for entry in fitted.history_:
            assert entry["frac_reward_zero_std"] == 1
            assert entry["frac_no_advantage"] == 1
            assert entry["examples"] == 0
        assert fitted.budget_["optimizer_steps"] == 0


def test_no_cutpoints_are_told_and_nothing_moves() -> None:
    model = TabularLanguageModel(2, 4)
    with torch.no_grad():
        model.logits[:] = torch.tensor([10.0, 0.0])
    fitted = optimizer(model, reward=lambda completions: [float(sum(c)) for c in completions])
    fitted.set_params(max_completion_length=4)
    with pytest.warns(UserWarning, match="nothing to learn from"):
        fitted.fit([[2]])
    assert fitted.history_[0]["segments"] == 0
    assert torch.equal(fitted.model_.logits, model.logits)


def test_likely_tokens_alone_are_told_of_also_where_rewards_differ() -> None:
    model = TabularLanguageModel(2, 4)
    with torch.no_grad():
        model.logits[:] = torch.tensor([3.0, 0.0])
    # some tokens are unlikely, but only a threshold below their probability lets none through
    fitted = optimizer(
        model,
        estimator="grpo",
        reward=lambda completions: [float(sum(c)) for c in completions],
        prob_mask_threshold=1e-6,
        max_completion_length=4,
        num_generations=32,
    )
    with pytest.warns(UserWarning, match="no token was unsure"):
        fitted.fit([[2]])
    assert fitted.history_[0]["examples"] > 0
    assert fitted.history_[0]["mask_fraction"] == 0
    assert torch.equal(fitted.model_.logits, model.logits)


def test_the_reference_computes_in_the_precision_of_the_policy(folders, monkeypatch) -> None:
    accelerate = pytest.importorskip("accelerate")
    from dfl.rl.segment import TokenPolicy

    seen = []
    inner = TokenPolicy.score

    def watched(self, *texts):
        seen.append(self.bf16)
        return inner(self, *texts)

    monkeypatch.setattr(TokenPolicy, "score", watched)
    half = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    optimizer(folders["llama"], accelerator=half, beta=0.1, max_iter=1).fit(PROMPTS, COLUMNS)
    assert seen == [True, True]


def test_a_log_does_not_replace_a_file_of_something_else(folders, tmp_path) -> None:
    precious = tmp_path / "train.jsonl"
    precious.write_text('{"question": "1+1"}\n')
    fitted = optimizer(folders["llama"], rollout_log=precious)
    with pytest.raises(InvalidInputError, match="line 1 is not from a log of rollouts"):
        fitted.fit(PROMPTS, COLUMNS)
    assert precious.read_text() == '{"question": "1+1"}\n'
    # a line that was cut off when the run was killed is replaced
    log = tmp_path / "log.jsonl"
    log.write_text('{"iteration": 1}\n{"iterat')
    fitted.set_params(rollout_log=log).fit(PROMPTS, COLUMNS)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["iteration"] for line in lines} == {1, 2}
    assert all("completion" in line for line in lines)


@pytest.mark.parametrize(
    "rules", [{"temperature": -1.0}, {"temperature": math.nan}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_wrong_ways_of_drawing_are_refused(rules) -> None:
    model = TabularLanguageModel(2, 3, random_state=0)
    fitted = optimizer(
        model, reward=lambda completions: [float(sum(c)) for c in completions], max_iter=1
    )
    fitted.set_params(max_completion_length=3, prob_mask_threshold=None).fit([[2]])
    (name,) = rules
    for call in (fitted.decide, fitted.score, fitted.evaluate):
        with pytest.raises(InvalidInputError, match=f"{name}={rules[name]}"):
            call([[2]], **rules)


def rewarding(values):
    return lambda completions: values(len(completions))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"reward": rewarding(lambda n: [math.nan] * n)}, "returned nan for completion 0"),
        ({"reward": rewarding(lambda n: [1.0, math.inf] * n)}, "rewards, expected 12"),
        ({"reward": rewarding(lambda n: [1.0] * (n - 1) + [math.inf])}, "returned inf"),
        ({"reward": rewarding(lambda n: [None] * n)}, "got None as the reward of completion 0"),
        ({"reward": rewarding(lambda n: [1.0])}, "1 rewards, expected 12"),
        ({"reward": rewarding(lambda n: ["x"] * n)}, "returned 'x' for completion 0"),
        ({"reward": rewarding(lambda n: None)}, "returned NoneType, expected a list"),
        ({"reward": None}, "reward=None"),
        ({"reward": "accuracy"}, "reward='accuracy'"),
        ({"reward": [count], "reward_weights": [1.0, 2.0]}, "2 reward_weights for 1"),
        ({"reward": [count], "reward_weights": [math.nan]}, "expected finite numbers"),
        ({"reward": lambda completions, anwser: []}, "needs anwser, expected .* digit"),
        ({"max_completion_length": 30}, "prompt 0 has 4 tokens, and with max_completion_length=30"),
        ({"max_completion_length": 0}, "max_completion_length=0"),
        ({"estimator": "ppo"}, "estimator='ppo'"),
        ({"partition": "lines"}, "partition='lines'"),
        ({"num_generations": 0}, "num_generations=0"),
        ({"num_generations": 1}, "num_generations=1, expected at least 2"),
        ({"estimator": "chain", "num_mc_rollouts": 2.5}, "num_mc_rollouts=2.5"),
        ({"max_iter": "3"}, "max_iter='3'"),
        ({"estimator": "tree", "tree_structure": 6}, "tree_structure=6"),
        ({"estimator": "tree", "tree_structure": (3, 0)}, r"tree_structure=\(3, 0\)"),
        ({"estimator": "tree", "advantage_norm": "batch"}, "advantage_norm='batch'"),
        ({"estimator": "tree", "depth_weighting": "even"}, "depth_weighting='even'"),
        ({"learning_rate": math.inf}, "learning_rate=inf"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"beta": -1.0}, "beta=-1.0"),
        ({"estimator": "tree", "tree_structure": ()}, "structure="),
        ({"model": None}, "model=None"),
        ({"model": torch.nn.Linear(2, 2)}, "model of type Linear, expected a causal language"),
        ({"tokenizer": 5}, "tokenizer=5"),
        ({"accelerator": "gpu"}, "accelerator='gpu'"),
        ({"peft_config": {"r": 4}}, "peft_config of type dict"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"reward": [count], "reward_weights": "1"}, "expected finite numbers"),
        ({"reward": rewarding(lambda n: [1e39] * n)}, r"returned 1e\+39 for completion 0"),
    ],
)
def test_bad_input_is_named(rules, words, folders) -> None:
    rules = {"estimator": "grpo", **rules}
    with pytest.raises(InvalidInputError, match=words):
        optimizer(rules.pop("model", folders["llama"]), **rules).fit(PROMPTS, COLUMNS)


@pytest.mark.parametrize(
    ("prompts", "columns", "words"),
    [
        ([], None, "no prompts"),
        ("1+1=", None, "prompts of type str"),
        (["1+1=", ""], None, "prompt 1 gives token ids of shape"),
        ([[5], [999]], None, "prompt 1 has tokens from 999"),
        ([[5.5]], None, "prompt 0 gives token ids"),
        ([{"a": 1}], None, "prompt"),
        (["1+1=", [{"role": "user", "content": "1"}]], None, "prompt 1 is a list of messages"),
        (PROMPTS, {"digit": ["1"]}, "1 entries of column 'digit', expected 4"),
        (PROMPTS, {"prompts": PROMPTS}, "column 'prompts'"),
        (PROMPTS, ["1", "2", "3", "4"], "columns of type list"),
        (PROMPTS, {"digit": "1234"}, "str as column 'digit'"),
        (PROMPTS, {"digit": None}, "NoneType as column 'digit'"),
    ],
)
def test_bad_prompts_are_named(prompts, columns, words, folders) -> None:
    with pytest.raises(InvalidInputError, match=words):
        optimizer(folders["llama"]).fit(prompts, columns)


def test_several_rewards_are_summed_and_some_may_not_concern() -> None:
    model = TabularLanguageModel(2, 3, random_state=0)

    def first(completions) -> list[float | None]:
        return [None if c[0] else 1.0 for c in completions]

    def second(completions) -> list[float]:
        return [10.0 * c[0] for c in completions]

    fitted = optimizer(
        model, reward=[first, second], reward_weights=[1.0, 0.5], max_completion_length=3
    ).fit([[2]])
    rewards = fitted.evaluate([[2]], n_samples=50, temperature=1.0)
    assert set(rewards.flatten().tolist()) == {1.0, 5.0}
