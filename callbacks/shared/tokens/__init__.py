"""Records as a training sees them: read and tokenised by Axolotl itself. The functions need Axolotl, and so torch."""
