"""What every case of the benchmark uses: paired runs, peers, images, the table."""
