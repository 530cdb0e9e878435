"""The graph in README.md: that of `dvc dag`, with one node for all entries of a foreach or matrix.

GitHub draws Mermaid. An edge that follows from others (`index` before `tables`) is left out.
"""

import re

import networkx
from dvc.repo import Repo

from tests.graph import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"^```mermaid\n.*?^```$", re.M | re.S)
WIDTH = 100


def readme() -> str:
    """README.md as it is, with the graph as it should be."""
    text, found = BLOCK.subn(block(lines(graph())), README.read_text())
    if found != 1:
        raise ValueError(f"{README}: {found} blocks of Mermaid, expected 1")
    return text


def block(chains: list[str]) -> str:
    return "\n".join(["```mermaid", "flowchart TD", *chains, "```"])


def graph() -> networkx.DiGraph:
    """Definitions of this project's stages; an edge leads to one that reads what another writes."""
    with Repo(str(ROOT)) as repo:
        edges = {
            tuple(definition(each.addressing) for each in edge) for edge in repo.index.graph.edges
        }
    joined = networkx.DiGraph([(source, reader) for reader, source in edges if source != reader])
    return networkx.DiGraph(sorted(networkx.transitive_reduction(joined).edges))


def definition(stage: str) -> str:
    """`index@AFLW` → index; `data/demo/dvc.yaml:render-AFLW` → render."""
    return re.sub(r".*:|[@-].*", "", stage)


def lines(edges: networkx.DiGraph) -> list[str]:
    """Every edge once, as few chains; the longest first, cut where a line would be too long."""
    left, found = edges.copy(), []
    while left.edges:
        path = networkx.dag_longest_path(left)
        left.remove_edges_from(networkx.utils.pairwise(path))
        found += wrapped(path)
    return found


def wrapped(path: list[str]) -> list[str]:
    line = "    " + path[0]
    for at, name in enumerate(path[1:], start=1):
        if len(f"{line} --> {name}") > WIDTH:
            return [line, *wrapped(path[at - 1 :])]
        line = f"{line} --> {name}"
    return [line]
