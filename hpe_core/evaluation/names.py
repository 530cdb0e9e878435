"""The names of networks, and which of them a network's gain is measured against."""

BASE, ENSEMBLE = "base", "ensemble"
_STUDENT, _CONTROL = "kd-", "control-"


def student_of(backbone: str) -> str:
    return _STUDENT + backbone


def control_of(backbone: str) -> str:
    return _CONTROL + backbone


def is_student(network: str) -> bool:
    return network.startswith(_STUDENT)


def is_part(network: str) -> bool:
    """Whether it is an ensemble of one kind of views, beside the whole one."""
    return network.startswith(f"{ENSEMBLE}-")


def reference_of(network: str) -> str:
    """What a network's gain is over: a student's control, the base network of an ensemble; else "".

    They differ in one thing: the teacher, or the averaging.
    """
    if is_student(network):
        return control_of(network.removeprefix(_STUDENT))
    return BASE if network.startswith(ENSEMBLE) else ""
