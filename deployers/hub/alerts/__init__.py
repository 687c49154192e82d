"""People and programs are told when the monitor's judgement of a series changes.

settings.py    the tables [alerts], [alerts.webhook], [alerts.smtp], [alerts.mqtt] of hub.toml
ledger.py      of one channel: what it has been told, and what it still has to be told
wording.py     a change in words and as JSON
channel.py     what a channel is
webhook.py     JSON over HTTP
mail.py        SMTP
mqtt.py        MQTT: changes, and the newest state of every series
discovery.py   topics, and how Home Assistant is told of them
sender.py      a channel's own task: retries, and what went wrong
service.py     all channels of a hub
"""
