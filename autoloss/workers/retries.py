"""Retries: what is done again when a worker is lost, one policy for the three places where one can be lost.

With a candidate: the runner counts, in the run file, so that a search that was killed goes on counting. Before it is
ready: whoever makes workers, for no candidate is to blame. Under a task with its whole node: the cluster moves it.
"""

TRIES = 2
"""Workers that may be lost with a candidate, or with what candidates share, before that counts as failed."""
STARTS = 3
"""Times in a row that every worker of a machine fails to be made ready before none can."""
MOVES = 20
"""Nodes that may die under a task before it counts as a lost worker, or fail to make one ready before none can."""
PLACE_RESTS = 60.0
"""Seconds that a place where no worker could be made ready rests at most (1, 2, 4 and so on); others take over."""
CLUSTER_RESTS = 15.0
"""Seconds until a task is sent again where no node is known that makes workers ready."""
