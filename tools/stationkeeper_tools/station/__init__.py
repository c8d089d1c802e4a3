"""A gateway's side of CUPS, which behaves as LoRa Basics Station 2.0.6 does: its state, its requests, its oddities.

Data flows one way: `files` hold the `state`; `machine` makes a request of it and takes an answer; `runner` carries both
over a `connection`; `report` says what happened; `command` is what a person runs. Input and output, but for the files,
are in `connection`, `runner` and `command` alone.
Source: the CUPS protocol, as the client was seen and read to speak it.
"""
