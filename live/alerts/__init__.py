"""Alerts: rules over results, and their events to JSON lines, a webhook, MQTT."""

from br2net.live.alerts.events import AlertEvent, DeliveryCounts, EventTarget
from br2net.live.alerts.monitor import AlertMonitor, Alerts
from br2net.live.alerts.mqtt import MqttPublisher
from br2net.live.alerts.rules import AlertRule, parse_rule, parse_rules
from br2net.live.alerts.targets import EventLog, Webhook

__all__ = [
    "AlertEvent",
    "AlertMonitor",
    "AlertRule",
    "Alerts",
    "DeliveryCounts",
    "EventLog",
    "EventTarget",
    "MqttPublisher",
    "Webhook",
    "parse_rule",
    "parse_rules",
]
