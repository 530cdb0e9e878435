"""Networks, their files, and the exchange with the networks published with the paper."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision import models

from hpe_core.common.errors import InputError
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import (
    load_network,
    load_pretrained,
    load_published,
    save_network,
    save_published,
)
from hpe_core.networks.model import BACKBONES, BaseNet, StudentNet, folded, normalize
from hpe_core.training.loop import seeded

TORCHVISION = [name for name in BACKBONES if name in models.list_models()]


def student(seed: int = 0) -> StudentNet:
    return seeded(lambda: StudentNet("resnet10", BinSpec()), seed).eval()


def images(n: int = 2) -> torch.Tensor:
    return normalize(torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8))


@pytest.mark.parametrize("backbone", TORCHVISION)
def test_encoders_are_torchvisions(backbone):
    """Names and shapes of the published state dict: torchvision's, without the classifier."""
    with torch.device("meta"):
        ours = StudentNet(backbone, BinSpec()).state_dict()
        theirs = models.get_model(backbone, weights=None).state_dict()
    expected = {
        f"encoder_net.model.{name}": value.shape
        for name, value in theirs.items()
        if not name.startswith("fc.")
    }
    features = theirs["fc.weight"].shape[1]
    for angle in ("pitch", "yaw", "roll"):
        expected[f"head_net.{angle}.weight"] = torch.Size([198, features])
        expected[f"head_net.{angle}.bias"] = torch.Size([198])
    assert {name: value.shape for name, value in ours.items()} == expected


def test_the_family_of_the_paper_is_there():
    assert set(TORCHVISION) >= {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}


def test_the_smallest_backbone_ends_after_three_stages():
    net = StudentNet("resnet8", BinSpec()).eval()
    whole = StudentNet("resnet10", BinSpec()).eval()
    names = {name for name in whole.state_dict() if "layer4" not in name}
    assert set(net.state_dict()) == names
    encoder = {n: v for n, v in whole.state_dict().items() if n in names and "head_net" not in n}
    net.load_state_dict(encoder, strict=False)
    features: list[torch.Tensor] = []
    whole.encoder_net.model.layer3.register_forward_hook(lambda *call: features.append(call[2]))
    x = images()
    whole(x)
    torch.testing.assert_close(net.encoder_net(x), features[0].mean((-2, -1)))
    assert net(x).shape == (2, 3, 198)


def test_base_network_predicts_with_its_smallest_bins():
    net = BaseNet("resnet10", [BinSpec(4.0), BinSpec(1.0), BinSpec(3.0), BinSpec(2.0)]).eval()
    x = images()
    heads, regression = net.all_heads(x)
    assert [head.shape for head in heads] == [(2, 3, n) for n in (198, 99, 66, 50)]
    torch.testing.assert_close(net(x), heads[0])
    assert regression.shape == (2, 3)
    with torch.no_grad():
        net.regression_net.bias.fill_(1000.0)
    torch.testing.assert_close(net.all_heads(x)[1], torch.full((2, 3), 99.0))  # formula (3)


def test_unknown_backbone_names_those_there_are():
    with pytest.raises(ValueError, match="'resnet19'.*resnet18"):
        StudentNet("resnet19", BinSpec())


def test_normalize_is_imagenets():
    pixel = torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8)
    expected = (torch.tensor([124, 116, 104]) / 255 - torch.tensor([0.485, 0.456, 0.406])) / (
        torch.tensor([0.229, 0.224, 0.225])
    )
    torch.testing.assert_close(normalize(pixel).flatten(), expected)


BINS = [BinSpec(3.0), BinSpec(9.0)]


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        pytest.param("base", lambda: BaseNet("resnet10", BINS), id="base"),
        pytest.param(
            "base", lambda: BaseNet("resnet10", BINS, regression=False), id="without regression"
        ),
        pytest.param("student", lambda: student(), id="student"),
    ],
)
def test_save_and_load_give_the_same_network_and_bytes(tmp_path, kind, build):
    net = build()
    for name in ("a", "b"):
        save_network(net, tmp_path / name, "resnet10", (32, 40), {"weights": "none"})
    loaded, metadata = load_network(tmp_path / "a")
    x = images()
    torch.testing.assert_close(loaded(x), net.eval()(x))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert metadata["size_hw"] == [32, 40]
    assert metadata["kind"] == kind
    assert loaded.state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda p: p.unlink(), "no such network", id="missing"),
        pytest.param(lambda p: p.write_bytes(b"not weights"), "not a safetensors", id="garbage"),
        pytest.param(
            lambda p: safetensors.torch.save_file({"a": torch.zeros(1)}, p),
            "no `hpe` metadata",
            id="foreign",
        ),
        pytest.param(
            lambda p: save_network(student(), p, "resnet8", (32, 32), {}),
            "don't fit the network",
            id="other-tensors",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_network_of_ours(tmp_path, damage, message):
    path = tmp_path / "net.safetensors"
    save_network(student(), path, "resnet10", (32, 32), {})
    damage(path)
    with pytest.raises(InputError, match=message):
        load_network(path)


def test_published_format_round_trip(tmp_path):
    net = student()
    save_published(net, tmp_path / "kd.pth")
    state = torch.load(tmp_path / "kd.pth", weights_only=True)
    assert "encoder_net.model.layer1.0.conv1.weight" in state
    assert "head_net.yaw.bias" in state
    loaded = load_published(tmp_path / "kd.pth", "resnet10")
    x = images()
    torch.testing.assert_close(loaded(x), net(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda s: s.pop("head_net.pitch.bias"), "1 missing: head_net.pitch.bias", id="missing"
        ),
        pytest.param(lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra", id="extra"),
        pytest.param(lambda s: s.pop("head_net.yaw.weight"), "no 'head_net.yaw.weight'", id="head"),
    ],
)
def test_published_networks_load_strictly(tmp_path, change, message):
    state = student().state_dict()
    change(state)
    torch.save(state, tmp_path / "kd.pth")
    with pytest.raises(InputError, match=message):
        load_published(tmp_path / "kd.pth", "resnet10")


class Payload:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickled_payload_is_refused_and_not_executed(tmp_path, capsys):
    torch.save({"head_net.yaw.weight": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="cannot be read as plain weights"):
        load_published(tmp_path / "evil.pth", "resnet10")
    assert "executed" not in capsys.readouterr().out


def test_local_pretrained_weights_fill_the_backbone(tmp_path):
    pretrained = models.resnet18(weights=None)
    torch.save(pretrained.state_dict(), tmp_path / "resnet18.pth")
    net = StudentNet("resnet18", BinSpec())
    assert load_pretrained(net.encoder_net, "resnet18", tmp_path / "resnet18.pth") == "resnet18.pth"
    torch.testing.assert_close(net.encoder_net.model.conv1.weight, pretrained.conv1.weight)


def test_imagenet_weights_come_through_torchvisions_enum(tmp_path, monkeypatch):
    """The real enum, its download replaced by a state dict made here."""
    pretrained = models.resnet18(weights=None).state_dict()
    asked = []

    def fake(self, *args, **kwargs):
        asked.append((self, kwargs))
        return pretrained

    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", fake)
    net = StudentNet("resnet18", BinSpec())
    assert load_pretrained(net.encoder_net, "resnet18", tmp_path / "IMAGENET1K_V1") == (
        "IMAGENET1K_V1"
    )
    assert asked[0][0] is models.ResNet18_Weights.IMAGENET1K_V1
    assert asked[0][1]["check_hash"]
    torch.testing.assert_close(net.encoder_net.model.conv1.weight, pretrained["conv1.weight"])


def test_folded_networks_say_the_same():
    net = student(3).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    for _ in range(10):
        net(images(8))
    net.eval()
    with torch.no_grad():
        x = images()
        expected = net(x)
        assert expected.std(0).max() > 1e-3, "this network cannot tell"
        torch.testing.assert_close(folded(net)(x), expected, rtol=1e-3, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded(net).modules())


def test_unknown_pretrained_weights_name_the_choices(tmp_path):
    net = StudentNet("resnet18", BinSpec())
    with pytest.raises(InputError, match="IMAGENET1K_V1"):
        load_pretrained(net.encoder_net, "resnet18", tmp_path / "IMAGENET21K")


def test_none_leaves_the_random_weights(tmp_path):
    net = student()
    before = net.encoder_net.model.conv1.weight.clone()
    assert load_pretrained(net.encoder_net, "resnet10", tmp_path / "none") == "none"
    assert torch.equal(before, net.encoder_net.model.conv1.weight)


def test_seeded_weights_depend_on_the_seed_alone():
    torch.manual_seed(99)
    a = student(1).state_dict()["head_net.yaw.weight"]
    np.random.default_rng(0)
    torch.manual_seed(5)
    assert torch.equal(a, student(1).state_dict()["head_net.yaw.weight"])
    assert not torch.equal(a, student(2).state_dict()["head_net.yaw.weight"])
