"""Floor 4: the faces of sandtime: command line, HTTP, MQTT, reports; and the daemon that builds things."""
