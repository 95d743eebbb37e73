"""The bundles that come with Tidegate: `starter` and `edge`, from data to card in one command."""
