"""Tables of contents: the Prefect flows.

Every run is told to keep its results in our block; its process must know the block's class, whatever the flow imports.
"""

from tasks import result_store as result_store
