"""Around a cell: variables that are new or changed, the typed report, and the names, with and without IPython."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from spatialclaw_ros.kernel.cell import MIME_CELL
from spatialclaw_ros.workbench import session
from spatialclaw_ros.workbench.variables import VariableWatch, summary


def by_name(report):
    return {entry["name"]: entry for entry in report["variables"]}


def test_new_and_changed_variables_are_reported_once(bench):
    first = by_name(bench.run("a = 1; b = [1, 2]; c = 'x'"))
    assert set(first) == {"a", "b", "c"} and all(entry["is_new"] for entry in first.values())
    second = by_name(bench.run("a = 2; b.append(3)"))
    assert set(second) == {"a", "b"} and not second["a"]["is_new"]
    assert bench.run("d = a")["variables"][0]["name"] == "d"


def test_every_variable_that_is_there_is_named_and_none_that_is_gone(bench):
    bench.run("a = 1; b = 2")
    assert bench.run("del a; c = 3; import json")["names"] == ["b", "c"]
    assert bench.run("b = 4")["names"] == ["b", "c"]


def test_summaries_carry_shape_type_and_range(bench):
    found = by_name(
        bench.run(
            "depth = np.full((480, 640), 2.5, np.float32); depth[0] = np.nan\n"
            "m = np.zeros((4, 5), bool); v = np.arange(3.)\n"
            "n = 0.123456789; d = {'a': 1, 'b': [2]}; f = lambda x, y: x; item = InputImages[0]; big = 'z' * 5000"
        )
    )
    assert found["depth"]["summary"].startswith("(480, 640) float32, about 2.5 to 2.5")
    assert found["m"]["summary"] == "(4, 5) bool, 0.0 % true" and found["v"]["summary"] == "(3,) float64 [0., 1., 2.]"
    assert found["n"]["summary"] == "0.123457" and found["d"]["summary"] == "2 entries, keys 'a', 'b'"
    assert found["f"]["summary"] == "function(x, y)" and "frame 0 of 'front'" in found["item"]["summary"]
    assert "5000 characters" in found["big"]["summary"] and len(found["big"]["summary"]) < 200
    assert found["depth"]["type"] == "ndarray"


def test_an_array_changed_in_place_is_reported(bench):
    bench.run("a = np.zeros((10, 10))")
    assert "a" in by_name(bench.run("a += 1"))


def test_own_names_modules_and_private_names_are_not_variables(bench):
    assert bench.run("import json; from math import pi; _x = 1")["variables"][0]["name"] == "pi"
    assert set(by_name(bench.run("np = 5"))) == {"np"}


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("repr was called")


def test_foreign_objects_are_never_asked_for_their_repr():
    assert "Loud" in summary(Loud()) and summary({"a": Loud()}) == "1 entries, keys 'a'"
    assert summary([Loud()] * 3).startswith("3 elements: Loud")


def test_a_value_that_fails_when_looked_at_does_not_cost_the_report(bench):
    report = bench.run("class Bad:\n    @property\n    def shape(self): raise OSError('no')\nbad = Bad(); n = 1")
    assert by_name(report)["bad"]["summary"] == "(no summary: OSError)" and "n" in by_name(report)


def test_a_figure_that_cannot_be_drawn_is_a_note_and_the_report_comes(bench):
    report = bench.run("plt.title('$\\\\frac{$'); x = 1")
    assert any("could not be drawn" in note for note in report["notes"]) and "x" in by_name(report)
    assert bench.run("y = 2")["notes"] == []


def test_huge_integers_do_not_stop_the_report():
    assert "bits" in summary(10**6000)


def test_deep_and_self_containing_values_are_summarised(bench):
    report = bench.run("a = []; a.append(a); d = {}; d['d'] = d")
    assert set(by_name(report)) == {"a", "d"}


def test_more_variables_than_listed_are_counted(bench):
    report = bench.run("for i in range(200): globals()[f'v{i}'] = i")
    assert report["variables"][-1]["summary"].endswith("more changed") and len(report["variables"]) == 61


def test_only_a_few_elements_of_a_large_value_are_touched():
    touched = []

    class Counting(list):
        def __iter__(self):
            for entry in super().__iter__():
                touched.append(entry)
                yield entry

    VariableWatch(set()).changes({"a": Counting(range(1_000_000))})
    assert len(touched) < 20


def test_range_of_a_large_array_is_of_a_sample():
    array = np.zeros(10_000_000, np.float32)
    array[1] = 7.0  # between two samples
    assert summary(array) == "(10000000,) float32, about 0 to 0"


def test_report_is_one_typed_message_and_strict_json(bench):
    bench.run("x = float('nan'); Robot.pose(); print('hello')")
    reports = [data[MIME_CELL] for data, _ in bench.published if MIME_CELL in data]
    assert len(reports) == 1 and reports[0]["version"] == 1 and reports[0]["tool_calls"] == 1
    json.dumps(reports[0], allow_nan=False)


def test_names_are_bound_without_import(bench):
    names = "np math collections itertools functools matplotlib plt scipy ndimage spatial signal optimize"
    for name in f"{names} SAM3 Reconstruct Geometry Mask Robot show ReturnAnswer vlm tools feedback Metadata".split():
        assert bench.value(name) is not None
    assert bench.value("tools.SAM3 is SAM3 and tools.Reconstruct is Reconstruct and feedback.show is not None")
    assert bench.value("matplotlib.get_backend().lower()") == "agg"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("show(name='x')", "show"), ("vlm.locate(InputImages[0], prompt='x')", "vlm.locate"),
        ("SAM3.segment_image_by_text(InputImages[0], text='x')", "SAM3.segment_image_by_text"),
        ("Robot.speed(at=1)", "Robot.speed"), ("Reconstruct(images=1)", "Reconstruct"),
        ("Geometry.angle_between_vectors(1, 2, 3, 4)", "Geometry.angle_between_vectors"),
    ],
)  # fmt: skip
def test_wrong_call_is_named_as_the_cell_wrote_it(bench, call, name):
    with pytest.raises(TypeError, match=rf"^{name.replace('.', '[.]')}\(\) "):
        bench.run(call)


@pytest.mark.parametrize(("module", "one"), [("tools", "SAM3"), ("vlm", "locate"), ("feedback", "ReturnAnswer")])
def test_unknown_name_of_a_module_is_answered_with_what_there_is(bench, monkeypatch, module, one):
    with pytest.raises(AttributeError, match=rf"module '{module}' has no attribute 'Depth'; it has .*{one}"):
        bench.value(f"{module}.Depth")
    monkeypatch.setitem(sys.modules, module, bench.value(module))
    with pytest.raises(ImportError, match=rf"'Depth' from '{module}' \(it has .*{one}"):
        bench.run(f"from {module} import Depth")


def test_variables_stay_over_a_new_goal_and_frames_change(bench, room_frames):
    bench.run("kept = 3; old = InputImages")
    manifest = bench.workbench.bench.manifest
    bench.workbench.begin(type(manifest)(room_frames[:2], "odom", True, manifest.transforms, "base_link", {}))
    assert bench.value("kept") == 3 and bench.value("len(InputImages)") == 2 and bench.value("len(old)") == 5


@pytest.fixture
def shell(monkeypatch):
    """A real IPython shell whose display messages are kept."""
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    shell = interactive()
    shell.sent = []
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, metadata, **_: shell.sent.append((data, metadata)))
    yield shell
    shell.restore_sys_module_state()
    interactive.clear_instance()
    session._workbench = None
    for name in ("tools", "vlm", "feedback"):
        sys.modules.pop(name, None)


def test_install_and_begin_serve_cells_of_an_ipython_shell(shell, room_frames, tmp_path):
    from spatialclaw_ros.frames.snapshot import Snapshot

    session.install(shell)
    session.begin(Snapshot.from_frames(room_frames).export(tmp_path))
    done = shell.run_cell("from tools import SAM3, Reconstruct\nimport vlm, feedback\nrecon = Reconstruct(InputImages)")
    assert done.success
    assert [data[MIME_CELL]["variables"][-1]["name"] for data, _ in shell.sent] == ["recon"]
    shell.sent.clear()
    shell.run_cell("begun = 1\nfeedback.show(InputImages[0])\nReturnAnswer(1.5, unit='m')\n1 / 0", silent=False)
    assert "image/jpeg" in shell.sent[0][0]
    report = shell.sent[-1][0][MIME_CELL]
    assert report["answer"]["value"] == 1.5 and [entry["name"] for entry in report["variables"]] == ["begun"]


def test_silent_cells_send_nothing(shell):
    session.install(shell)
    shell.run_cell("x = 1", silent=True)
    assert shell.sent == []
