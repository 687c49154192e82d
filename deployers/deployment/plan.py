"""What a deployment will do, as data: from what is wanted and what is there to files and commands. No I/O here.

    making      a Jetson or here: fetch what runs now · convert · sign version n, and n + 1 to go back
    installing  a Jetson: lock · install n and the way back · activate, or begin to challenge
    boards      each: forward · confirm
    closing     a Jetson: unlock and clear

Over there incoming/<deployment>/ takes what is uploaded, data/models/<version>/ is what the hub has installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployers.connectors.command import Command, script
from deployers.deployment.errand import Errand, Fetched, Made, Packed
from deployers.deployment.holding import closing, locking, uploads
from deployers.deployment.places import Previous
from deployers.deployment.waves import Device
from deployers.plan import HERE, Plan, Step, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from deployers.connectors.command import Word
    from deployers.deployment.places import Target, Workshop
    from deployers.deployment.state import HubThere, ModelThere
    from deployers.deployment.wanted import Wanted

# What a command prints, as a file of the login: the hub's account may not write there.
KEEP = 'out="$1"; shift; "$@" > "$out.part" && mv -f "$out.part" "$out"'
PACK = 'tar -cf "$1.part" -C "$2" . && mv -f "$1.part" "$1"'
UNPACK = 'rm -rf "$2" && mkdir -p -m 0750 "$2" && tar -xf "$1" -C "$2" && rm -f "$1"'
IMAGE, ACTIVATE, CHALLENGE = "model.img", "activate", "challenge"
CONVERT_SECONDS, SIGN_SECONDS, INSTALL_SECONDS = 1800.0, 300.0, 300.0
SPARE_SECONDS = 30.0  # a connector waits longer than the hub, which says why it gave up


@dataclass(frozen=True)
class DeploymentPlan:
    """Everything that a deployment does.

    Attributes:
        version: of the new image; 0 if none is made.
        making: plans for single machines, one after the other, before any hub is changed.
        installing: of each Jetson that lacks the model, by its name.
        boards: of each board that lacks it.
        closing: of each Jetson that is changed.
        versions: that runs in the end, of each Jetson.
        previous: what each way back leads to.
    """

    version: int = 0
    making: tuple[Plan, ...] = ()
    installing: Mapping[str, Plan] = field(default_factory=dict)
    boards: Mapping[Device, Plan] = field(default_factory=dict)
    closing: Mapping[str, Plan] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    previous: tuple[Previous, ...] = ()

    @property
    def ways(self) -> dict[str, int]:
        """Versions of the ways back, by what they lead to."""
        return {_way(each.model): each.version for each in self.previous}

    def __bool__(self) -> bool:
        return bool(self.installing or self.boards)

    def as_dict(self) -> dict[str, Any]:
        """The golden JSON."""
        return {
            "version": self.version or None,
            "making": [plan.as_dict() for plan in self.making],
            "installing": [plan.as_dict() for plan in self.installing.values()],
            "boards": [{"board": device.board, **plan.as_dict()} for device, plan in self.boards.items()],
            "closing": [plan.as_dict() for plan in self.closing.values()],
        }


@dataclass(frozen=True)
class Numbers:
    """Versions of images.

    Attributes:
        version: of the new one; 0 if there is none.
        ways: of the ways back, by what they lead to.
    """

    version: int = 0
    ways: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Patience:
    """How long boards are waited for.

    Attributes:
        forward: seconds until a board is back with the model in test.
        confirm: seconds until its first forecast, which comes with its next reading.
    """

    forward: float = 600.0
    confirm: float = 900.0


def deployment_plan(  # noqa: PLR0913 - what a plan is made from
    wanted: Wanted,
    targets: Sequence[Target],
    shop: Workshop,
    *,
    pinned: Numbers | None = None,
    patience: Patience | None = None,
    shadow: bool = False,
) -> DeploymentPlan:
    """Make the plan.

    Args:
        wanted: what is to run.
        targets: the Jetsons, with the boards that are to take it.
        shop: this machine.
        pinned: versions of an unfinished deployment of the same, which goes on.
        patience: how long boards are waited for.
        shadow: it is to challenge what runs, which goes on; the targets have no boards then.
    """
    is_there = _installed if shadow else _running
    current = {target.name: is_there(target, wanted) for target in targets}
    lacking = [target for target in targets if current[target.name] is None]
    numbers = _numbers(wanted, targets, lacking, pinned or Numbers(), shop.used) if lacking else Numbers()
    version, previous = numbers.version, _previous(wanted, lacking, numbers, shop)
    versions = {name: model.version if model else version for name, model in current.items()}
    boards = {
        Device(target.name, board): board_plan(target, board, versions[target.name], patience or Patience())
        for target in targets
        for board in target.boards
        if not target.is_confirmed(board, versions[target.name])
    }
    begun = {device.jetson for device in boards}
    changed = [
        target
        for target in targets
        if target in lacking or target.name in begun or (shadow and target.there.active != versions[target.name])
    ]
    last = _challenging if shadow else _activating
    return DeploymentPlan(
        version,
        _making(wanted, lacking, version, previous, shop),
        {
            target.name: _installing(wanted, target, versions[target.name], previous.get(target.name), shop, last)
            for target in changed
        },
        boards,
        {target.name: Plan(target.name, (closing(target, shop),)) for target in changed},
        versions,
        tuple({each.version: each for each in previous.values()}.values()),
    )


def _running(target: Target, wanted: Wanted) -> ModelThere | None:
    """The active model if it is the one wanted, and a version that every board there takes."""
    model = target.there.model_of(target.there.active)
    if model is None or not model.is_of(wanted.release_sha256, wanted.digest):
        return None
    return model if all(target.there.board(board).confirmed <= model.version for board in target.boards) else None


def _installed(target: Target, wanted: Wanted) -> ModelThere | None:
    """The newest model of what is wanted that is not older than the active one."""
    models = [one for one in target.there.models if one.way_back_for is None]
    fit = [one for one in models if one.version >= (target.there.active or 0)]
    own = [one for one in fit if one.is_of(wanted.release_sha256, wanted.digest)]
    return max(own, key=lambda one: one.version, default=None)


def _numbers(
    wanted: Wanted, targets: Sequence[Target], lacking: Sequence[Target], pinned: Numbers, used: int
) -> Numbers:
    """Those of the unfinished deployment where they still can be, else one more than any that is known anywhere."""
    taken = [target.there.model_of(pinned.version) for target in lacking]
    free = all(model is None or model.is_of(wanted.release_sha256, wanted.digest) for model in taken)
    for way, version in pinned.ways.items():
        taken = [target.there.model_of(version) for target in lacking]
        free = free and all(model is None or _way(model) == way for model in taken)
    boards = [target.there.board(board).confirmed for target in lacking for board in target.boards]
    newer = [target.there.active or 0 for target in lacking]
    if pinned.version and free and max([*boards, *newer], default=0) <= pinned.version:
        return pinned
    return Numbers(max([used, *(target.there.highest for target in targets)]) + 1)


def _way(model: ModelThere) -> str:
    """By which a model that is gone back to is told from others."""
    return f"{model.release_sha256} {model.chosen}"


def _previous(wanted: Wanted, lacking: Sequence[Target], numbers: Numbers, shop: Workshop) -> dict[str, Previous]:
    """The model that each Jetson goes back to; each different one gets a version of its own."""
    found, ways = dict[str, Previous](), dict(numbers.ways)
    highest = max([numbers.version, *(target.there.highest for target in lacking)])
    for target in lacking:
        model = _before(target, wanted)
        if model is None:
            continue
        number = ways.setdefault(_way(model), max([highest, *ways.values()]) + 1)
        source = next((one for one in found.values() if one.version == number), None)
        key = shop.ran.get(model.image_sha256, f"image-{model.image_sha256[:16]}")
        found[target.name] = source or Previous(target, model, number, key)
    return found


def _before(target: Target, wanted: Wanted) -> ModelThere | None:
    """What runs there, or what that would go back to where it is the release wanted itself.

    A hub's model that no board has kept, of a deployment that was cut off, does not run: what ran before it does.
    """
    there = target.there
    kept = any(board.confirmed == there.active for board in there.boards)
    model = there.model_of(there.active if kept else ran_before(there) or there.active)
    if model is None or not model.is_of(wanted.release_sha256, wanted.digest):
        return model
    ways = [one for one in target.there.models if one.way_back_for == model.version]
    return next((one for one in ways if not one.is_of(wanted.release_sha256, wanted.digest)), None)


def _making(
    wanted: Wanted, lacking: Sequence[Target], version: int, previous: Mapping[str, Previous], shop: Workshop
) -> tuple[Plan, ...]:
    """Conversions and signed images; nothing where every hub has them."""
    signing = [target for target in lacking if target.there.model_of(version) is None]
    ways = {each.version: each for name, each in previous.items() if not _has_way_back(lacking, name, each)}
    plans = [
        Plan(each.target.name, (locking(each.target, shop), _fetching(each, shop)))
        for each in ways.values()
        if each.key not in shop.kept
    ]
    if signing and wanted.key not in shop.kept:
        plans.append(_converting(wanted, signing, shop))
    new = [_signing(shop, wanted.key, version, wanted.description, "sign")] if signing else []
    back = [
        _signing(shop, each.key, each.version, each.model.description or each.model.name, "sign the way back")
        for each in ways.values()
    ]
    return (*plans, Plan(HERE, (*new, *back))) if new or back else ()


def _has_way_back(lacking: Sequence[Target], name: str, back: Previous) -> bool:
    target = next(one for one in lacking if one.name == name)
    return target.there.model_of(back.version) is not None


def _fetching(back: Previous, shop: Workshop) -> Step:
    """What runs now, with its image: the image proves that this deployer signed it."""
    site, version = back.target.site, str(back.model.version)
    archive = uploads(back.target, shop) / f"{version}.tar"
    tar = site.as_account(Command(("tar", "-cf", "-", "-C", site.root / "data/models" / version, ".")))
    return Errand(
        "fetch what runs now",
        commands=(script(KEEP, archive, *tar.words),),
        fetched=(Fetched(archive, shop.folder / f"{version}.tar", shop.unchecked(back.key)),),
    )


def _converting(wanted: Wanted, targets: Sequence[Target], shop: Workshop) -> Plan:
    """On the first Jetson that has TensorFlow, else here."""
    there = next((target for target in targets if target.tensorflow), None)
    if there is None:
        words = (shop.python, "-m", "deployers", "convert", "--release", shop.folder / "release")
        command = Command(
            (*words, "--out", shop.unchecked(wanted.key), *wanted.options, "--force", "--json"), CONVERT_SECONDS
        )
        return Plan(HERE, (Step("convert", commands=(command,), where=HERE),))
    incoming, tar = uploads(there, shop), shop.folder / "release.tar"
    release, out = incoming / "release", incoming / "conversion"
    upload = Errand(
        "upload the release",
        files=(Made(tar, incoming / "release.tar"),),
        commands=(script(UNPACK, incoming / "release.tar", release),),
        packed=(Packed(tar, shop.folder / "release"),),
    )
    options: tuple[Word, ...] = ("convert", "--release", release, "--out", out, *wanted.options, "--force", "--json")
    convert = there.site.module("deployers", *options, timeout=CONVERT_SECONDS)
    archive = incoming / "conversion.tar"
    fetched = Fetched(archive, shop.folder / "conversion.tar", shop.unchecked(wanted.key))
    fetch = Errand("fetch the conversion", commands=(script(PACK, archive, out),), fetched=(fetched,))
    return Plan(there.name, (locking(there, shop), upload, Step("convert", commands=(convert,)), fetch))


def image_file(shop: Workshop, version: int) -> Path:
    """Where an image is written that is signed here."""
    return shop.folder / f"{version}.img"


def _signing(shop: Workshop, key: str, version: int, description: str, name: str) -> Step:
    out = image_file(shop, version)
    words = (shop.python, "-m", "deployers", "image", "create", shop.conversion(key), "--key", shop.key)
    options = ("--version", str(version), "-o", out, "--description", description, "--force")
    return Step(f"{name}: version {version}", commands=(Command((*words, *options), SIGN_SECONDS),), where=HERE)


def _installing(  # noqa: PLR0913, PLR0917 - what a Jetson's part is made of
    wanted: Wanted,
    target: Target,
    version: int,
    back: Previous | None,
    shop: Workshop,
    last: Callable[[Target, int], Step | None],
) -> Plan:
    steps: list[Step | None] = [locking(target, shop)]
    if target.there.model_of(version) is None:
        steps.append(_install(target, shop, wanted.key, version, ()))
    if back is not None and target.there.model_of(back.version) is None:
        steps.append(_install(target, shop, back.key, back.version, ("--way-back-for", str(version))))
    return plan_of(target.name, [*steps, last(target, version)])


def _challenging(target: Target, version: int) -> Step:
    """Nothing changes where it challenges already."""
    return Step(CHALLENGE, commands=(target.site.hub("ctl", "challenge", str(version), timeout=INSTALL_SECONDS),))


def _activating(target: Target, version: int) -> Step | None:
    """Also where an earlier run did it and no board has kept it yet: the hub must still be able to go back."""
    there, before = target.there, target.there.active
    if before == version:
        before = None if any(board.confirmed == version for board in there.boards) else ran_before(there)
        if before is None:
            return None
    undo = () if before is None else (target.site.hub("ctl", "activate", str(before), timeout=INSTALL_SECONDS),)
    command = target.site.hub("ctl", "activate", str(version), timeout=INSTALL_SECONDS)
    return Step(ACTIVATE, commands=(command,), undo=undo)


def ran_before(there: HubThere) -> int | None:
    """The version that ran before the active one: the way back leads to the same model."""
    back = next((one for one in there.models if one.way_back_for == there.active), None)
    if back is None or there.active is None:
        return None
    older = [one.version for one in there.models if one.version < there.active and _way(one) == _way(back)]
    return max(older, default=back.version)


def _install(target: Target, shop: Workshop, key: str, version: int, options: tuple[str, ...]) -> Step:
    incoming, archive = uploads(target, shop), shop.folder / f"install-{version}.tar"
    packed = Packed(archive, shop.conversion(key), ((IMAGE, image_file(shop, version)),))
    remote, folder = incoming / f"{version}.tar", incoming / str(version)
    return Errand(
        f"install the way back: version {version}" if options else f"install version {version}",
        files=(Made(archive, remote),),
        commands=(
            *target.site.take(incoming),
            script(UNPACK, remote, folder),
            *target.site.give(folder),
            target.site.hub("ctl", "install", folder, *options, timeout=INSTALL_SECONDS),
        ),
        packed=(packed,),
    )


def board_plan(target: Target, board: str, version: int, patience: Patience) -> Plan:
    """Bring a version to a board, and confirm it there."""
    to = ("--board", board, "--seconds")
    words = (str(version), *to)
    forward = target.site.hub(
        "ctl", "forward", *words, f"{patience.forward:g}", timeout=patience.forward + SPARE_SECONDS
    )
    confirm = target.site.hub(
        "ctl", "confirm", *words, f"{patience.confirm:g}", timeout=patience.confirm + SPARE_SECONDS
    )
    revert = target.site.hub("ctl", "revert", str(version), "--board", board, timeout=patience.forward + SPARE_SECONDS)
    return Plan(
        target.name,
        (Step("forward", commands=(forward,)), Step("confirm", commands=(confirm,), undo=(revert,))),
    )
