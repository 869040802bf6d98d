"""Queues of the `~/query` action, the same at both ends: rclpy's depth of 10 loses goals and feedback of a burst."""

from __future__ import annotations

from typing import TypedDict

from rclpy.qos import QoSProfile, qos_profile_parameters

FEEDBACK_DEPTH = 100
"""Feedback messages that wait for whoever is slow to send or take them."""

FEEDBACK = QoSProfile(depth=FEEDBACK_DEPTH)


class ServiceQueues(TypedDict):
    """The keyword arguments of ActionServer and ActionClient for their three services."""

    goal_service_qos_profile: QoSProfile
    result_service_qos_profile: QoSProfile
    cancel_service_qos_profile: QoSProfile


SERVICES = ServiceQueues(
    goal_service_qos_profile=qos_profile_parameters,
    result_service_qos_profile=qos_profile_parameters,
    cancel_service_qos_profile=qos_profile_parameters,
)
"""As rclpy's services (reliable, volatile) with the depth of its parameter services, 1000."""
