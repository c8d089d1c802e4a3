"""The protocol between a gateway and CUPS, and how a Basics Station reads its messages."""
