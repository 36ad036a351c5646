"""What is handed to other programs is what their standards say: PROV-JSON, RO-Crate."""

import io
import json
import shutil
from pathlib import Path

import pytest

prov_model = pytest.importorskip("prov.model")


def test_prov_json_is_read_by_its_own_library_and_says_who_made_what(paper):
    document = prov_model.ProvDocument.deserialize(content=paper("trace", "fig.txt", "--format", "prov"), format="json")
    kinds = [type(record).__name__ for record in document.get_records()]
    assert kinds.count("ProvActivity") == 4
    assert kinds.count("ProvAgent") == 1
    assert kinds.count("ProvEntity") == 6
    assert kinds.count("ProvGeneration") == 4
    assert kinds.count("ProvUsage") == 7
    labels = {str(record.label) for record in document.get_records(prov_model.ProvEntity)}
    assert labels == {"fig.txt", "fit-1.txt", "fit-2.txt", "clean.csv", "data/raw.csv", "settings.toml"}


def test_prov_says_that_a_copy_is_derived(paper):
    shutil.copy(paper.folder / "fig.txt", paper.folder / "copy.txt")
    document = json.loads(paper("trace", "copy.txt", "--format", "prov"))
    derived = next(iter(document["wasDerivedFrom"].values()))
    assert document["entity"][derived["prov:generatedEntity"]]["prov:label"] == "copy.txt"
    assert document["entity"][derived["prov:usedEntity"]]["prov:label"] == "fig.txt"


# --- RO-Crate ------------------------------------------------------------------------------------

SCHEMA = "http://schema.org/"
WORDS = """CreateAction CreativeWork Dataset Person SoftwareApplication SoftwareSourceCode ComputerLanguage
PropertyValue name description datePublished license mainEntity mentions hasPart about instrument object result agent
startTime endTime actionStatus error additionalProperty value contentSize dateModified programmingLanguage url version
author encodingFormat"""
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run"
# The words that we use, with the meanings that the public contexts give them: the validator needs no network so.
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": {word: SCHEMA + word for word in WORDS.split()}
    | {
        "File": SCHEMA + "MediaObject",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    },
    f"{RUN_TERMS}/context": {"sha256": f"{RUN_TERMS}#sha256"},
}


@pytest.fixture
def issues_of(tmp_path):
    """Return what the public validator finds wrong with a crate of a profile, offline."""
    services = pytest.importorskip("rocrate_validator.services")
    import requests
    import requests_cache
    import urllib3
    from rocrate_validator.models import Severity

    class Shelf(requests.adapters.BaseAdapter):
        def send(self, request, **_more):
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 200, request.url, request
            answer.headers["Content-Type"] = "application/ld+json"
            body = io.BytesIO(json.dumps({"@context": CONTEXTS[request.url]}).encode())
            answer.raw = urllib3.HTTPResponse(body=body, status=200, preload_content=False, request_url=request.url)
            return answer

        def close(self):
            pass

    cache = tmp_path / "contexts"
    with requests_cache.CachedSession(str(cache)) as session:
        session.mount("https://", Shelf())
        for address in CONTEXTS:
            session.get(address)

    def validate(crate, profile):
        found = services.validate(
            {
                "rocrate_uri": str(crate),
                "profile_identifier": profile,
                "requirement_severity": Severity.REQUIRED,
                "offline": True,
                "cache_path": cache,
            }
        )
        return [issue.message for issue in found.get_issues()]

    return validate


@pytest.mark.filterwarnings("ignore")  # of the validator's own libraries
def test_a_crate_passes_the_public_validator_as_a_workflow_run(paper, issues_of):
    paper("trace", "fig.txt", "--format", "rocrate", "-o", "crate")
    crate = paper.folder / "crate"
    assert issues_of(crate, "workflow-run-crate-0.5") == []
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert entities["./"]["mainEntity"] == {"@id": "sflow.py"}
    assert entities["#run"]["result"] == {"@id": "fig.txt"}
    assert {one["@id"] for one in entities["#run"]["object"]} == {"data/raw.csv", "settings.toml"}
    assert (crate / "data" / "raw.csv").read_text() == "2\n1\n1\n"
    # The validator does look: without its workflow the same crate fails.
    (crate / "sflow.py").unlink()
    assert issues_of(crate, "workflow-run-crate-0.5") != []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # as above
def test_the_papers_of_the_co2_example_hold_before_their_standards(project, issues_of):
    shutil.copytree(Path(__file__).parents[2] / "examples" / "co2", project.folder / "co2")
    project.folder /= "co2"
    project("run", "-q")
    project("trace", "picture", "--format", "rocrate", "-o", "crate")
    assert issues_of(project.folder / "crate", "workflow-run-crate-0.5") == []
    text = project("trace", "picture", "--format", "prov")
    document = prov_model.ProvDocument.deserialize(content=text, format="json")
    made = {str(record.label) for record in document.get_records(prov_model.ProvActivity)}
    assert "picture" in made and {f"clean-{decade}0s" for decade in range(195, 201)} <= made


@pytest.mark.filterwarnings("ignore")  # as above
def test_without_its_flow_file_a_crate_is_a_process_run_and_names_what_it_does_not_hold(paper, issues_of):
    (paper.folder / "sflow.py").unlink()
    (paper.folder / "clean.csv").unlink()
    paper("trace", "fig.txt", "--format", "rocrate", "-o", "crate")
    assert "1 more are named only" in paper.talk
    assert issues_of(paper.folder / "crate", "process-run-crate-0.5") == []


def test_a_crate_is_not_written_over_what_is_there(paper):
    (paper.folder / "crate").mkdir()
    paper("trace", "fig.txt", "--format", "rocrate", "-o", "crate", code=2)
    assert "crate is there already" in paper.talk


def test_without_a_folder_the_metadata_are_printed(paper):
    assert json.loads(paper("trace", "fig.txt", "--format", "rocrate"))["@graph"][0]["@id"] == "ro-crate-metadata.json"
