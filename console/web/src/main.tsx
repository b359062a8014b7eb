import { render } from "preact";
import "./styles/fonts.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/pages.css";
import "./styles/map.css";
import "./styles/providers.css";
import { App } from "./app";
import { resume } from "./state/session";

render(<App />, document.getElementById("app")!);
void resume();
