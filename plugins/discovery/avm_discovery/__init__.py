"""Discovery strategies (TopicIndex, Librarian, Gossip) come with the many-agents release; none is registered yet."""
