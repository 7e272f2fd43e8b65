"""Images in, clips out: between users' storage and Magic Hour."""
