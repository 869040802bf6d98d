"""python -m spatialclaw_ros.evaluation: see run_command."""

import sys

from spatialclaw_ros.evaluation.run_command import main

if __name__ == "__main__":
    sys.exit(main())
