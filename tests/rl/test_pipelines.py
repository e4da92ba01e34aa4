"""Pipelines of diffusers: loaded, tuned, saved and loaded again, all of it offline."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, MissingDependencyError, UnsupportedError
from dfl.rl.preference import (
    DDIMTransition,
    ImageReward,
    Prompts,
    StepwisePreferenceTuner,
    TextDenoiser,
    TunablePipeline,
    UNetDenoiser,
    load_pipeline,
    sample,
)

diffusers = pytest.importorskip("diffusers", reason="needs the extra diffusion")
transformers = pytest.importorskip("transformers", reason="needs the extra diffusion")
pytest.importorskip("peft", reason="needs the extra diffusion")


TEXTS = ["a cat", "a dog", "cats", "dogs"]
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer(folder: Path) -> Any:
    """Letters, and two words that are merged from them."""
    letters = "acdgost"
    words = [*letters, *(letter + "</w>" for letter in letters), "ca", "do", "cat</w>", "dog</w>"]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *words]
    numbers = {word: place for place, word in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    merges = ["c a", "d o", "ca t</w>", "do g</w>"]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8
    )


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny pipeline of the shape of Stable Diffusion."""
    folder = tmp_path_factory.mktemp("stable")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        words = tokenizer(tmp_path_factory.mktemp("words"))
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=(4, 8),
            layers_per_block=1,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=8,
            attention_head_dim=2,
            norm_num_groups=2,
        )
        vae = diffusers.AutoencoderKL(
            block_out_channels=[4, 8],
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            latent_channels=4,
            norm_num_groups=2,
        )
        reader = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                hidden_size=8,
                intermediate_size=16,
                num_attention_heads=2,
                num_hidden_layers=2,
                vocab_size=len(words),
                max_position_embeddings=8,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        )
        diffusers.StableDiffusionPipeline(
            vae=vae,
            text_encoder=reader,
            tokenizer=words,
            unet=unet,
            # what pipelines on the hub come with
            scheduler=diffusers.PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny pipeline without prompts."""
    folder = tmp_path_factory.mktemp("plain")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(4, 8),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=2,
            norm_num_groups=2,
        )
        diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler()).save_pretrained(folder)
    return folder


def brightness(images: Tensor, times: Tensor, texts: Any) -> Tensor:
    """Bright cats, dark dogs."""
    signs = [1.0 if texts is None or "cat" in text else -1.0 for text in texts or [""] * len(times)]
    return images.flatten(1).mean(1) * images.new_tensor(signs)


def tuner(tunable: TunablePipeline, **parameters: Any) -> StepwisePreferenceTuner:
    settings = {
        "n_steps": 4,
        "start_step": 1,
        "n_candidates": 2,
        "n_chains": 4,
        "max_iter": 1,
        "learning_rate": 1e-2,
        "random_state": 0,
    }
    return StepwisePreferenceTuner(
        tunable.denoiser,
        tunable.scheduler,
        tunable.reward(brightness, 3),
        tunable.shape,
        **{**settings, **parameters},
    )


def drawn(tunable: TunablePipeline, conditions: Any = None, eta: float = 1.0) -> Tensor:
    steps = DDIMTransition.of(tunable.scheduler, 4, eta)
    generator = torch.Generator().manual_seed(5)
    return sample(
        tunable.denoiser, steps, tunable.shape, 4, generator=generator, conditions=conditions
    )


def test_stable_diffusion_is_loaded_tuned_saved_and_loaded_again(
    stable: Path, tmp_path: Path
) -> None:
    tunable = TunablePipeline.of(load_pipeline(stable))
    prompts = tunable.prompts(TEXTS)
    before = drawn(tunable, prompts)
    tuned = tuner(tunable).fit(prompts)
    assert tuned.budget_["reward_queries"] == 4 * 2 * 3
    torch.testing.assert_close(drawn(tunable, prompts), before, rtol=0, atol=0)  # it was copied
    tunable = tunable.install(tuned.denoiser_)
    after = drawn(tunable, prompts)
    assert not torch.equal(after, before)
    tunable.save(tmp_path / "tuned")
    again = TunablePipeline.of(load_pipeline(tmp_path / "tuned"))
    torch.testing.assert_close(drawn(again, again.prompts(TEXTS)), after, rtol=0, atol=0)
    assert again.images(after).shape == (4, 3, 16, 16)


def test_adapters_alone_are_trained_saved_and_loaded_again(stable: Path, tmp_path: Path) -> None:
    tunable = TunablePipeline.of(load_pipeline(stable), lora_rank=2)
    trained = {n for n, p in tunable.denoiser.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    prompts = tunable.prompts(TEXTS)
    plain = TunablePipeline.of(load_pipeline(stable))
    torch.testing.assert_close(drawn(tunable, prompts), drawn(plain, prompts))  # they start at zero
    tuned = tuner(tunable, max_iter=2).fit(prompts)
    held = {p.data_ptr() for p in tunable.denoiser.parameters() if not p.requires_grad}
    frozen = {p.data_ptr() for p in tuned.denoiser_.parameters() if not p.requires_grad}
    assert held == frozen  # copies share what they do not train
    tunable = tunable.install(tuned.denoiser_)
    after = drawn(tunable, prompts)
    assert not torch.allclose(after, drawn(plain, prompts))
    tunable.save(tmp_path / "adapters")
    assert not (tmp_path / "adapters" / "unet").exists()
    again = TunablePipeline.of(load_pipeline(stable, lora=tmp_path / "adapters"))
    torch.testing.assert_close(drawn(again, again.prompts(TEXTS)), after, rtol=0, atol=0)
    assert any(p.requires_grad for p in again.denoiser.parameters())  # and it can be tuned further


def test_a_pipeline_without_prompts_is_loaded_tuned_saved_and_loaded_again(
    plain: Path, tmp_path: Path
) -> None:
    tunable = TunablePipeline.of(load_pipeline(plain))
    assert tunable.shape == (1, 8, 8)
    tuned = tuner(tunable).fit()
    before = drawn(tunable)
    tunable = tunable.install(tuned.denoiser_)
    after = drawn(tunable)
    assert not torch.equal(after, before)
    tunable.save(tmp_path / "tuned")
    again = TunablePipeline.of(load_pipeline(tmp_path / "tuned"))
    torch.testing.assert_close(drawn(again), after, rtol=0, atol=0)
    with pytest.raises(UnsupportedError, match="takes no prompts"):
        again.prompts(["a cat"])


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_samples_are_those_of_the_pipeline_itself(stable: Path, scale: float) -> None:
    pipeline = load_pipeline(stable)
    pipeline.set_progress_bar_config(disable=True)
    tunable = TunablePipeline.of(pipeline, guidance_scale=scale)
    ours = drawn(tunable, tunable.prompts(TEXTS), eta=0.0)
    start = torch.randn(
        4, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    ).float()
    theirs = pipeline(
        TEXTS,
        height=16,
        width=16,
        num_inference_steps=4,
        guidance_scale=scale,
        eta=0.0,
        latents=start,
        output_type="latent",
    ).images
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    theirs = pipeline(TEXTS, num_inference_steps=4, guidance_scale=scale, latents=start,
                      height=16, width=16, output_type="pt").images  # fmt: skip
    with torch.no_grad():
        pixels = (tunable.images(ours) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(pixels, theirs, rtol=1e-3, atol=1e-4)


def test_velocity_is_turned_into_noise(stable: Path) -> None:
    pipeline = load_pipeline(stable)
    pipeline.set_progress_bar_config(disable=True)
    config = {**pipeline.scheduler.config, "prediction_type": "v_prediction"}
    pipeline.register_modules(scheduler=diffusers.DDIMScheduler.from_config(config))
    tunable = TunablePipeline.of(pipeline)
    ours = drawn(tunable, tunable.prompts(TEXTS), eta=0.0)
    start = torch.randn(
        4, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    ).float()
    theirs = pipeline(TEXTS, num_inference_steps=4, guidance_scale=5.0, latents=start, height=16,
                      width=16, output_type="latent").images  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_layers_compute_in_the_precision_of_the_accelerator(stable: Path) -> None:
    accelerate = pytest.importorskip("accelerate", reason="needs the extra diffusion")
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    try:
        tunable = TunablePipeline.of(load_pipeline(stable), lora_rank=2, accelerator=accelerator)
    finally:
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    exact = TunablePipeline.of(load_pipeline(stable), lora_rank=2)
    prompts = tunable.prompts(TEXTS)
    coarse, fine = drawn(tunable, prompts), drawn(exact, prompts)
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, fine)
    assert (coarse - fine).norm() < 0.1 * fine.norm()
    tuned = tuner(tunable).fit(prompts)
    moved = [p for p in tuned.denoiser_.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in moved)
    assert any(p.abs().sum() > 0 for n, p in tuned.denoiser_.named_parameters() if "lora_B" in n)


def test_half_weights_are_kept_with_adapters_and_refused_without(stable: Path) -> None:
    pipeline = load_pipeline(stable, dtype=torch.bfloat16)
    with pytest.raises(InvalidInputError, match="too coarse to be trained"):
        TunablePipeline.of(pipeline)
    tunable = TunablePipeline.of(pipeline, lora_rank=2)
    kinds = {p.dtype for p in tunable.denoiser.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
    assert drawn(tunable, tunable.prompts(TEXTS)).dtype == torch.float32


def test_the_gradient_of_an_image_reward_reaches_latents(stable: Path) -> None:
    tunable = TunablePipeline.of(load_pipeline(stable), lora_rank=2)
    tuned = tuner(tunable, direction="gradient", n_candidates=1).fit(tunable.prompts(TEXTS))
    assert tuned.history_[0]["valid"] == 1.0


def test_what_cannot_be_tuned_is_named(stable: Path, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="got a PNDMScheduler, expected a DDIMScheduler"):
        TunablePipeline.of(load_pipeline(stable, scheduler=False))
    clipping = TunablePipeline.of(load_pipeline(plain, scheduler=False))
    with pytest.raises(UnsupportedError, match="clip_sample=False"):
        tuner(clipping).fit()
    with pytest.raises(InvalidInputError, match=r"expected the folder of a pipeline"):
        load_pipeline(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(UnsupportedError, match="holds a FluxPipeline, expected one of"):
        load_pipeline(tmp_path)
    with pytest.raises(UnsupportedError, match="takes no adapters"):
        TunablePipeline.of(load_pipeline(plain), lora_rank=2)
    with pytest.raises(UnsupportedError, match="takes no adapters"):
        load_pipeline(plain, lora=tmp_path)
    with pytest.raises(UnsupportedError, match="got a pipeline int"):
        TunablePipeline.of(3)
    tunable = TunablePipeline.of(load_pipeline(stable))
    with pytest.raises(InvalidInputError, match="expected at least 1"):
        TunablePipeline.of(load_pipeline(stable), lora_rank=0)
    with pytest.raises(InvalidInputError, match="expected a sequence of at least one"):
        tunable.prompts("a cat")
    with pytest.raises(InvalidInputError, match="expected 4 Prompts"):
        drawn(tunable)
    with pytest.raises(InvalidInputError, match="expected a TextDenoiser"):
        tunable.install(TunablePipeline.of(load_pipeline(plain)).denoiser)
    with pytest.raises(InvalidInputError, match=r"guidance_scale=0\.5"):
        TunablePipeline.of(load_pipeline(stable), guidance_scale=0.5)
    with pytest.raises(InvalidInputError, match="precision='fp8'"):
        TunablePipeline.of(load_pipeline(stable), precision="fp8")


def test_samples_may_be_oblong_and_must_have_a_size(stable: Path, plain: Path) -> None:
    for folder, channels in ((stable, 4), (plain, 1)):
        pipeline = load_pipeline(folder)
        pipeline.unet.register_to_config(sample_size=(8, 16))
        assert TunablePipeline.of(pipeline).shape == (channels, 8, 16)
        pipeline.unet.register_to_config(sample_size=None)
        with pytest.raises(InvalidInputError, match="sample_size=None"):
            TunablePipeline.of(pipeline)


def test_parts_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="got 1 texts"):
        Prompts(["a cat"], torch.zeros(2, 8, 8))
    with pytest.raises(InvalidInputError, match="batch_size=0"):
        ImageReward(brightness, lambda x: x, 0)
    with pytest.raises(InvalidInputError, match="takes none"):
        UNetDenoiser(torch.nn.Linear(1, 1))(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1))  # type: ignore[arg-type]
    assert TextDenoiser(torch.nn.Linear(1, 1), torch.zeros(1, 8, 8), 1.0).precision == "no"


def test_a_reward_is_asked_in_pieces_and_told_the_texts() -> None:
    seen = []

    def reward(images: Tensor, times: Tensor, texts: Any) -> Tensor:
        seen.append((len(images), texts))
        return images[:, 0] * times

    prompts = Prompts(["a", "b", "c"], torch.zeros(3, 1, 1))
    found = ImageReward(reward, lambda x: 2 * x, 2)(torch.ones(3, 1), torch.arange(3), prompts)
    assert found.tolist() == [0, 2, 4]
    assert seen == [(2, ("a", "b")), (1, ("c",))]


@pytest.mark.parametrize("call", [lambda: load_pipeline("x"), lambda: TunablePipeline.of(None)])
def test_a_missing_package_names_its_extra(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependencyError, match=r"dfl-opt\[diffusion\]"):
        call()
