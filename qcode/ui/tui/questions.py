"""Questions before calls, put to the user one at a time."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcode.agent.approval import Decision
    from qcode.events import ApprovalAsked
    from qcode.ui.tui.app import Tui
    from qcode.ui.tui.approval import ApprovalPanel


class Questions:
    """The approver of the conversation behind this screen."""

    def __init__(self, app: "Tui") -> None:
        self.panel: ApprovalPanel | None = None
        """The one that is open."""
        self.bell = False
        """Whether it rings when one is asked."""
        self._app = app
        self._asking = asyncio.Lock()

    async def approve(self, asked: "ApprovalAsked") -> "Decision":
        """Ask the user, above the input."""
        from qcode.ui.tui.approval import ApprovalPanel

        app = self._app
        async with self._asking:
            panel = self.panel = ApprovalPanel(asked, app.canvas, lambda: app.composer.last_key)
            try:
                await app.mount(panel, before=app.popup)
                if self.bell:
                    app.bell()
                return await panel.decision
            finally:
                self.panel = None
                if panel.is_attached:
                    await panel.remove()
                app.composer.placeholder = ""
                app.composer.focus()

    def advise(self, text: str) -> bool:
        """No, and these words for the model; False where no question waits for words."""
        if self.panel is None or not self.panel.advising:
            return False
        self.panel.advise(text)
        return True
