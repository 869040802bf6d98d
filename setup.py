"""Metadata and installed files of the package. It stands here, since Ubuntu 22.04's setuptools 59 ignores [project]."""

import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "spatialclaw_ros"

REQUIRED = [
    "numpy>=1.26,<3",  # 1.26 is Ubuntu 24.04's; NumPy 3 may change what buffers promise
    "scipy>=1.11",  # the first to speak NumPy 2's C interface is 1.13; 1.11 is Ubuntu 24.04's, beside NumPy 1.26
    "opencv-python-headless>=4.9,<6",  # 4.9 knows NumPy 2; headless: no Qt, no libGL from the system; 5 renumbers types
    "pillow>=10.1",  # 10.1 holds mode and size apart from the pixels, which a frame decodes on first use
    "matplotlib>=3.6",  # the model's cells plot with it
    "ipykernel>=6.29,<8",  # 7 is what is tested here; 6.29 keeps ipc and subshell-free control channels
    "jupyter_client>=8.3,<9",  # 8 has the provisioner's interface used here
    "pyzmq>=25",  # ipc transport of jupyter_client 8
    "msgpack>=1.0.3,<2",  # strict_map_key and buffer limits as used by the broker
    "orjson>=3.9,<4",  # request bodies with pictures in about a millisecond
    "httpx>=0.25,<1",  # the backbone's client; 1.0 changes its interface
    "jinja2>=3.1,<4",  # prompts
    "pyyaml>=6",  # configuration and question files
    "rich>=13,<16",  # live view and tables
    "pygments>=2.15",  # cells in the report
    "psutil>=5.9",  # memory of a kernel's whole process tree
    "rosbags>=0.10,<0.12",  # 0.10 has typed stores; each minor version renames some of its interface
    "trimesh>=4.4,<6",  # the generated rooms
    "embreex>=2.17.7.post6",  # ray casting for them; earlier ones lack wheels for Python 3.12 and 3.13
    "pyseccomp>=0.1.2,<0.2",  # system-call filter of the kernel, by ctypes
]

EXTRAS = {
    "test": [
        "pytest>=8,<10",
        "pytest-timeout>=2.3",  # a process that hangs fails its own test, not the whole run
        "hypothesis>=6.100",
        "pytransform3d>=3.5,<4",  # judges the transform buffer
        "ruff>=0.8",
        "mypy>=1.13",
        "types-PyYAML>=6",
    ],
    "cloud": ["open3d>=0.18"],  # for cells that import it; 1.3 GB, and needs libusb and libGL from the system
}

# Named one by one: setuptools knows ** in package_data from 62.3 on.
PACKAGE_DATA = ["py.typed"] + sorted(
    str(path.relative_to(NAME))
    for path in Path(NAME).rglob("*")
    if path.suffix in {".j2", ".txt", ".yaml", ".css", ".html"}
)

DATA_FILES = [
    ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
    (f"share/{NAME}", ["package.xml"]),
    (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
    (f"share/{NAME}/config", sorted(glob("config/*"))),
    (f"share/{NAME}/rviz", sorted(glob("rviz/*.rviz"))),
]
if not {"bdist_wheel", "editable_wheel", "dist_info"} & set(sys.argv):
    # colcon sends console scripts to lib/ (setup.cfg), so PATH needs one more `spatialclaw`; a wheel has its own.
    DATA_FILES.append(("bin", ["script/spatialclaw"]))

setup(
    name=NAME,
    version="0.1.0",
    description="Answers spatial questions about what a robot's cameras see",
    author="spatialclaw_ros maintainers",
    maintainer="spatialclaw_ros maintainers",
    maintainer_email="maintainers@example.com",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: PACKAGE_DATA},
    data_files=DATA_FILES,
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    zip_safe=True,
    entry_points={
        "console_scripts": [
            f"spatialclaw = {NAME}.cli:main",
            f"agent_node = {NAME}.ros.main:main",
        ],
        "jupyter_client.kernel_provisioners": [
            f"spatialclaw-sandbox = {NAME}.kernel.provisioner:SandboxProvisioner",
        ],
    },
)
