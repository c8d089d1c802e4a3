"""The pages that need no cluster: every command runs, with the result on the page."""

from pathlib import Path

import pytest

from stationkeeper_tools.ports import free_ports
from tests.pages.blocks import ROOT, WITHOUT_A_CLUSTER, blocks
from tests.pages.running import Reader


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_A_CLUSTER)
def test_the_commands_of_a_page_give_its_results(name: str, tmp_path: Path) -> None:
    ports = {shown: f":{port}" for shown, port in zip((":8987", ":8080"), free_ports(2), strict=True)}

    with Reader(tmp_path, replaced=ports) as reader:
        for block in blocks(ROOT / name):
            reader.do(block)
