"""A subscriber for tests: keeps every message of a broker, with its retain flag."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


@dataclass(frozen=True)
class Message:
    """One message as it came."""

    topic: str
    content: dict[str, Any]
    retained: bool


class Listener:
    """Subscribes to all that sandtime publishes, from its own thread."""

    def __init__(self, port: int) -> None:
        self.messages: list[Message] = []
        self._port = port
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._keep

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, topic: str) -> list[Message]:
        """Return the messages of a topic so far, in the order in which they came."""
        return [message for message in list(self.messages) if message.topic == topic]

    def last(self, topic: str) -> dict[str, Any]:
        """Return what a topic said last; nothing if it said nothing."""
        found = self.of(topic)
        return found[-1].content if found else {}

    def _subscribe(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        client.subscribe("sandtime/#", qos=1)

    def _keep(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        content = json.loads(message.payload, parse_constant=_refuse)
        self.messages.append(Message(message.topic, content, message.retain))


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
