"""Recipes: what is left out has its default, what is not known is refused with a suggestion."""

from __future__ import annotations

import pytest

from engines.errors import EngineError
from engines.training.recipe import FUSIONS, Recipe, load, parse


def test_an_empty_file_is_the_default_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("# nothing\n")
    assert load(path) == Recipe()


def test_a_tower_may_be_its_name_alone_and_keeps_the_defaults_of_its_modality():
    recipe = parse({"text": "bag"})
    assert recipe.text.tower == "bag"
    assert recipe.settled().text.rate == Recipe().settled().text.rate == 3e-3


def test_numbers_that_yaml_takes_for_words_are_numbers(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("version: 1.2\nimage: {rate: 3e-3, epochs: 4}\n")
    recipe = load(path)
    assert (recipe.version, recipe.image.rate, recipe.image.epochs) == ("1.2", 0.003, 4)


@pytest.mark.parametrize(("tuning", "rate"), [("frozen", 3e-3), ("lora", 5e-4), ("full", 5e-5)])
def test_a_checkpoint_that_learns_gets_a_rate_that_does_not_wreck_it(tuning, rate):
    recipe = parse({"text": {"tower": "./MiniLM", "tuning": tuning}}).settled()
    assert (recipe.text.rate, recipe.image.rate, recipe.audio.rate) == (rate, 2e-3, 2e-3)


def test_the_rate_that_a_recipe_names_wins():
    recipe = parse({"text": {"tower": "./MiniLM", "tuning": "full", "rate": 1e-4}, "image": {"rate": 1e-2}})
    assert (recipe.settled().text.rate, recipe.settled().image.rate) == (1e-4, 1e-2)


def test_tuning_does_not_concern_towers_of_our_own():
    recipe = parse({name: {"tower": "small", "tuning": "full"} for name in ("text", "image", "audio")})
    assert [recipe.settled().tower(name).rate for name in ("text", "image", "audio")] == [3e-3, 2e-3, 2e-3]


def test_settling_twice_is_settling_once():
    recipe = parse({"text": {"tower": "./MiniLM", "tuning": "lora"}}).settled()
    assert recipe.settled() == recipe


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"sed": 1}, "the key sed is not known. Did you mean seed?"),
        ({"text": {"epoch": 1}}, "the key text.epoch is not known. Did you mean epochs?"),
        ({"seed": "one"}, "seed is 'one'. It is a whole number"),
        ({"augment": 1}, "augment is 1. It is a true or false"),
        ({"head": {"fusion": "late"}}, "head.fusion is 'late'. It is one of"),
        ({"text": {"tuning": "half"}}, "text.tuning is 'half'"),
        ({"text": {"rate": -1}}, "text.rate is -1.0. It lies between 0 and 1"),
        ({"validation": 0.9}, "validation is 0.9. It lies between 0 and 0.5"),
        ({"head": 3}, "head is no mapping"),
        ([], "the file is no mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused(tree, told):
    with pytest.raises(EngineError) as error:
        parse(tree, "recipe.yaml")
    assert told in str(error.value)
    assert error.value.where == "recipe.yaml"


def test_a_file_that_is_not_yaml_or_not_there_is_named(tmp_path):
    path = tmp_path / "recipe.yaml"
    with pytest.raises(EngineError, match="No such file"):
        load(path)
    path.write_text("a: [")
    with pytest.raises(EngineError, match="it is not YAML"):
        load(path)


@pytest.mark.train
def test_the_fusions_of_recipes_are_those_of_the_head():
    pytest.importorskip("torch")
    from engines.model.fusion import FUSIONS as BUILT

    assert set(FUSIONS) == set(BUILT)
