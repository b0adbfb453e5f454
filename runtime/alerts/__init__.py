"""Alerts: rules over results, and their events to JSON lines, a webhook, MQTT."""

from br2net.runtime.alerts.alerts import Alerts
from br2net.runtime.alerts.event import AlertEvent, DeliveryCounts, EventTarget
from br2net.runtime.alerts.expression import AlertRule, parse_rule, parse_rules
from br2net.runtime.alerts.jsonl import EventLog
from br2net.runtime.alerts.monitor import AlertMonitor
from br2net.runtime.alerts.mqtt import MqttPublisher
from br2net.runtime.alerts.webhook import Webhook

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
