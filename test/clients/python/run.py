"""Checks a server with paho for Python: `run.py PORT VERSION`, where VERSION is 3.1, 3.1.1 or 5."""

import sys

from checks import run
from every_version import EveryVersion
from paho.mqtt.client import MQTTv5, MQTTv31, MQTTv311
from version_5 import Version5

VERSIONS = {"3.1": MQTTv31, "3.1.1": MQTTv311, "5": MQTTv5}


def main() -> int:
    port, version = int(sys.argv[1]), VERSIONS[sys.argv[2]]
    subject = Version5(port) if version == MQTTv5 else EveryVersion(port, version)
    return 0 if run(subject.checks()) else 1


sys.exit(main())
