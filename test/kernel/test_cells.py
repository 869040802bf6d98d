"""Cells in a real kernel: results, errors, limits and being stopped."""

from __future__ import annotations

import threading
import time

import pytest

from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

pytestmark = pytest.mark.process

HOLD_THE_GIL = "import ctypes; ctypes.PyDLL(None).sleep(60)"


def test_text_and_value_of_a_cell_come_back_in_one_result(strongest: KernelSession) -> None:
    result = strongest.execute("print('measured'); 6 * 7")
    assert (result.status, result.stdout, result.error) == ("ok", "measured\n42\n", None)


def test_variables_stay_between_cells(strongest: KernelSession) -> None:
    strongest.execute("kept = [1, 2]")
    assert strongest.execute("kept.append(3); print(kept)").stdout == "[1, 2, 3]\n"


def test_usual_libraries_are_imported_before_the_first_cell(strongest: KernelSession) -> None:
    names = ("numpy", "scipy.spatial", "matplotlib.pyplot", "cv2", "PIL")
    code = f"import sys; print(all(n in sys.modules for n in {names}))"
    assert strongest.execute(code).stdout == "True\n"


def test_typed_report_of_the_workbench_becomes_fields(strongest: KernelSession) -> None:
    report = {
        "version": 1,
        "variables": [{"name": "d", "type": "float", "summary": "1.5", "is_new": True}],
        "answer": {"value": 1.5, "unit": "m"},
        "notes": ["one"],
        "tool_calls": 2,
    }
    code = (
        "from IPython.display import publish_display_data\n"
        "def _hook(*_):\n"
        f"    publish_display_data({{'application/vnd.spatialclaw.cell+json': {report!r}}})\n"
        "get_ipython().events.register('post_run_cell', _hook)"
    )
    strongest.execute(code)
    try:
        result = strongest.execute("pass")
    finally:
        strongest.execute("get_ipython().events.unregister('post_run_cell', _hook)")
    assert result.answer == {"value": 1.5, "unit": "m"}
    assert [(v.name, v.summary) for v in result.variables] == [("d", "1.5")]
    assert "one" in result.notes and result.tool_calls == 2


def test_shown_picture_comes_back_encoded_with_its_size(strongest: KernelSession) -> None:
    code = (
        "import io, numpy, PIL.Image\n"
        "from IPython.display import publish_display_data\n"
        "b = io.BytesIO(); PIL.Image.fromarray(numpy.zeros((30, 40, 3), 'uint8')).save(b, 'png')\n"
        "import base64\n"
        "publish_display_data({'image/png': base64.b64encode(b.getvalue()).decode()},"
        " metadata={'spatialclaw': {'label': 'wall', 'frame_index': 4}})"
    )
    (picture,) = strongest.execute(code).pictures
    assert (picture.width, picture.height, picture.label, picture.frame_index) == (40, 30, "wall", 4)


def test_error_names_the_line_of_the_cell(strongest: KernelSession) -> None:
    result = strongest.execute("def half(x):\n    return x / 0\n\nhalf(1)")
    assert result.status == "error" and result.error is not None
    assert (result.error.name, result.error.line) == ("ZeroDivisionError", 2)
    assert "IPython" not in result.error.traceback


def test_syntax_error_is_an_error_result(strongest: KernelSession) -> None:
    result = strongest.execute("a = (1,\nb = 2")
    assert result.error is not None and result.error.name == "SyntaxError" and result.error.line > 0


def test_text_that_is_not_unicode_is_refused_without_a_kernel(strongest: KernelSession) -> None:
    result = strongest.execute("x = '\ud800'")
    assert result.status == "error" and result.error is not None and result.error.name == "SyntaxError"


def test_asking_for_keyboard_input_is_an_error_not_a_wait(strongest: KernelSession) -> None:
    result = strongest.execute("input('name?')", 5.0)
    assert result.status == "error" and result.error is not None and "StdinNotImplemented" in result.error.name


def test_flood_of_text_is_cut_to_head_and_tail_with_a_count(strongest: KernelSession) -> None:
    result = strongest.execute("print('first'); print('x' * 5_000_000); print('last')")
    assert result.stdout.startswith("first\n") and result.stdout.endswith("last\n")
    assert len(result.stdout) < 70_000 and result.truncated_bytes > 4_900_000
    assert f"{result.truncated_bytes} bytes left out" in result.stdout


def test_flood_of_displays_ends_and_leaves_the_kernel_usable(strongest: KernelSession) -> None:
    result = strongest.execute("for i in range(3_000): display(i)", 30.0)
    assert result.status in ("ok", "timeout") and len(result.stdout) < 70_000
    assert strongest.execute("print('still here')").stdout == "still here\n"


def test_pictures_beyond_the_number_are_left_out_and_counted(strongest: KernelSession) -> None:
    code = (
        "import io, PIL.Image, base64\n"
        "from IPython.display import publish_display_data\n"
        "b = io.BytesIO(); PIL.Image.new('RGB', (8, 8)).save(b, 'jpeg')\n"
        "for _ in range(20): publish_display_data({'image/jpeg': base64.b64encode(b.getvalue()).decode()})"
    )
    result = strongest.execute(code)
    assert len(result.pictures) == 16
    assert any("4 pictures were left out" in note for note in result.notes)


def test_cell_over_its_time_is_interrupted_and_keeps_its_variables(kernel: KernelSession) -> None:
    result = kernel.execute("before = 5\nwhile True: pass", 0.3)
    assert result.status == "timeout"
    assert kernel.execute("print(before)").stdout == "5\n"


def test_cancel_interrupts_a_running_cell_within_a_second(kernel: KernelSession) -> None:
    cancel = CancelToken()
    started = threading.Timer(0.3, cancel.cancel)
    started.start()
    begin = time.monotonic()
    result = kernel.execute("import time\ntime.sleep(30)", 30.0, cancel)
    assert result.status == "interrupted" and time.monotonic() - begin < 1.3
    assert kernel.execute("print('on')").stdout == "on\n"


def test_cell_that_is_cancelled_before_it_starts_does_not_run(strongest: KernelSession) -> None:
    cancel = CancelToken()
    cancel.cancel()
    assert strongest.execute("ran = True", 5.0, cancel).status == "interrupted"
    assert strongest.execute("print('ran' in globals())").stdout == "False\n"


def test_cell_stuck_in_c_loses_its_kernel_and_the_next_one_works(fresh: KernelSession, pools) -> None:
    result = fresh.execute(HOLD_THE_GIL, 0.3)
    assert result.status == "died" and result.error is not None and "did not stop" in result.error.message
    assert not fresh.alive

    following = pools.get(fresh.sandbox_level).acquire(CancelToken(), Deadline(60.0))
    try:
        assert following.execute("print(1)").stdout == "1\n"
    finally:
        following.close()


def test_kernel_that_ends_itself_is_noticed_at_once(fresh: KernelSession) -> None:
    begin = time.monotonic()
    result = fresh.execute("print('last words', flush=True)\nimport os; os._exit(7)", 60.0)
    assert result.status == "died" and time.monotonic() - begin < 5.0
    assert result.error is not None and "7" in result.error.message
    assert fresh.execute("1").status == "died"


def test_kernel_that_crashes_says_by_which_signal(fresh: KernelSession) -> None:
    result = fresh.execute("import ctypes; ctypes.string_at(0)", 60.0)
    assert result.status == "died" and result.error is not None and "SIGSEGV" in result.error.message


def test_closing_a_session_ends_the_cell_that_runs(fresh: KernelSession) -> None:
    threading.Timer(0.3, fresh.close).start()
    result = fresh.execute("import time\ntime.sleep(60)", 60.0)
    assert result.status == "died" and result.error is not None and "closed" in result.error.message
