"""A simulator of a gateway's side of CUPS. It behaves like LoRa Basics Station 2.0.6, with its quirks.

Data flows one way: `files` hold the `state`; `state_machine` makes a request from it and takes an answer; `runner`
sends both over a `connection`; `report` describes what happened; `command` is what a person runs. Except for the files,
only `connection`, `runner` and `command` do input and output.
Source: the CUPS protocol; the client's code and measurements of it.
"""
