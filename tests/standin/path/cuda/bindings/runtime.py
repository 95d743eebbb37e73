"""Found by a process whose environment is `tests.standin.environment()`."""

import json
import os
import sys

from tests import standin
from tests.standin import cudart

standin.turn(standin.machine, json.loads(os.environ.get(standin.VARIABLE, "{}")))
sys.modules[__name__] = cudart
