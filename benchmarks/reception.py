"""How many camera images arrive: run `python benchmarks/reception.py`; prints the node beside a bare rclpy subscriber.

One process publishes best-effort images at 30 Hz on one or four cameras; another receives them: a single-threaded
rclpy subscriber that does nothing, or the agent node, which keeps every frame (buffer.rate_hz 0) or the default five
a second, and encodes what it keeps. Nothing leaves the machine, by discovery on LOCALHOST or, with --profile, by
config/fastdds_loopback.xml, which has larger socket buffers. Lost images are compared with the bare subscriber's on
the same transport. Processor time is the receiving process's own, in per cent of a core.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from spatialclaw_ros.ros.domain import PrivateDomain
from spatialclaw_ros.ros.environment import prepare_environment

PROFILE = Path(__file__).resolve().parent.parent / "config" / "fastdds_loopback.xml"
RATE = 30.0
COMPRESSED_BYTES = {(640, 480): 60_000, (1280, 720): 150_000}
SIZES = tuple(COMPRESSED_BYTES)
DISCOVERY_TIMEOUT = 20.0
LAST_IMAGES = 1.0
RECEIVERS = ("bare", "node, all", "node, 5 Hz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of publishing, each (%(default)s)")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--stagger", action="store_true", help="spread the cameras over the period, not all at once")
    parser.add_argument("--profile", action="store_true", help="use config/fastdds_loopback.xml")
    parser.add_argument("--role", choices=("publish", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        {"publish": publish, "receive": receive}[options.role](json.loads(options.case))
        return
    table = Table(title=f"best-effort images at {RATE:g} Hz for {options.seconds:g} s")
    for heading in ("cameras", "image", "receiver", "sent", "received", "lost", "of a core", "MiB"):
        table.add_column(heading, justify="left" if heading in ("image", "receiver") else "right")
    with PrivateDomain():
        prepare_environment()
        if options.profile:
            os.environ |= {"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE), "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
        for count in options.cameras:
            for size in SIZES:
                for compressed in (False, True):
                    for receiver in RECEIVERS:
                        case = {
                            "cameras": count,
                            "size": size,
                            "compressed": compressed,
                            "receiver": receiver,
                            "seconds": options.seconds,
                            "stagger": options.stagger,
                        }
                        table.add_row(*run_case(case))
                    table.add_section()
    Console().print(table)


def run_case(case: dict[str, Any]) -> tuple[str, ...]:
    """Start receiver and publisher, wait for both; a row of the table."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    receiver = subprocess.Popen([*command, "--role", "receive"], stdout=subprocess.PIPE)
    publisher = subprocess.run([*command, "--role", "publish"], stdout=subprocess.PIPE, timeout=120, check=True)
    time.sleep(LAST_IMAGES)
    receiver.send_signal(signal.SIGTERM)
    output, _ = receiver.communicate(timeout=60)
    got = json.loads(output)
    sent = json.loads(publisher.stdout)["sent"]
    lost = 100.0 * (sent - got["received"]) / sent
    width, height = case["size"]
    kind = "compressed" if case["compressed"] else "raw"
    cpu, memory = f"{got['cpu'] / case['seconds']:.0%}", f"{got['memory']:.0f}"
    row = (f"{width}x{height} {kind}", case["receiver"], str(sent), str(got["received"]), f"{lost:.1f} %", cpu, memory)
    return (str(case["cameras"]), *row)


def publish(case: dict[str, Any]) -> None:
    """Publish at RATE once every camera has a subscriber; prints how many were sent."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data

    rclpy.init()
    node = rclpy.create_node("publisher")
    message = make_message(case)
    publishers = [
        node.create_publisher(type(message), topic(i), qos_profile_sensor_data) for i in range(case["cameras"])
    ]
    end = time.monotonic() + DISCOVERY_TIMEOUT
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > end:
            sys.exit("nobody subscribed")
        time.sleep(0.05)
    time.sleep(1.0)
    sent, start = 0, time.monotonic()
    pause = 1.0 / RATE / len(publishers) if case["stagger"] else 0.0
    for tick in range(round(case["seconds"] * RATE)):
        for place, publisher in enumerate(publishers):
            time.sleep(max(0.0, start + tick / RATE + place * pause - time.monotonic()))
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)
            sent += 1
    print(json.dumps({"sent": sent}))
    time.sleep(LAST_IMAGES)
    rclpy.shutdown()


def topic(camera: int) -> str:
    return f"/camera_{camera}/image"


def make_message(case: dict[str, Any]) -> Any:
    """An image of the case's size: rgb8, or a JPEG file padded to the usual size of a camera's."""
    import cv2
    from sensor_msgs.msg import CompressedImage, Image

    width, height = case["size"]
    picture = np.full((height, width, 3), 128, np.uint8)
    if not case["compressed"]:
        message = Image(width=width, height=height, step=3 * width, encoding="rgb8")
        message.data = as_array(picture)
    else:
        _, encoded = cv2.imencode(".jpg", picture)
        file = encoded.tobytes()
        comment = b"\xff\xfe\xff\xff" + bytes(65533)  # padding in JPEG comments leaves a picture that decodes
        padded = file[:2] + comment * (COMPRESSED_BYTES[(width, height)] // len(comment)) + file[2:]
        message = CompressedImage(format="jpeg")
        message.data = as_array(np.frombuffer(padded, np.uint8))
    message.header.frame_id = "camera_optical_frame"
    return message


def as_array(pixels: np.ndarray) -> array.array:
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    return data


def receive(case: dict[str, Any]) -> None:
    """Receive until SIGTERM; prints images received, processor seconds and memory."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node, count = bare(case) if case["receiver"] == "bare" else agent_node(case)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    while not count() and not stop.wait(0.005):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF)
    stop.wait()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"received": count(), "cpu": cpu, "memory": after.ru_maxrss / 1024}), flush=True)
    executor.shutdown(timeout_sec=2.0)
    spinning.join(2.0)
    if case["receiver"] != "bare":
        node.stop()
        node.finish(10.0)
    os._exit(0)  # nothing is left to clean, and rclpy's own end would only add time


def bare(case: dict[str, Any]) -> tuple[Any, Any]:
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    node = rclpy.create_node("bare")
    received = [0]

    def take(_: Any) -> None:
        received[0] += 1

    kind = CompressedImage if case["compressed"] else Image
    for camera in range(case["cameras"]):
        node.create_subscription(kind, topic(camera), take, qos_profile_sensor_data)
    return node, lambda: received[0]


def agent_node(case: dict[str, Any]) -> tuple[Any, Any]:
    from rclpy.parameter import Parameter

    from spatialclaw_ros.ros.node import SpatialClawNode

    settings: dict[str, Any] = {f"cameras.camera_{i}.image_topic": topic(i) for i in range(case["cameras"])}
    if case["receiver"] == "node, all":
        settings["buffer.rate_hz"] = 0.0
    node = SpatialClawNode(parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
    node.autostart()
    return node, lambda: sum(ring["received"].get("color", 0) for ring in node._buffer.stats().values())


if __name__ == "__main__":
    main()
