"""Alerts: rules over results, and their events to JSON lines, a webhook, MQTT."""

from br2net.live.alerts.alerts import Alerts
from br2net.live.alerts.event import AlertEvent, DeliveryCounts, EventTarget
from br2net.live.alerts.expression import AlertRule, parse_rule, parse_rules
from br2net.live.alerts.jsonl import EventLog
from br2net.live.alerts.monitor import AlertMonitor
from br2net.live.alerts.mqtt import MqttPublisher
from br2net.live.alerts.webhook import Webhook

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
