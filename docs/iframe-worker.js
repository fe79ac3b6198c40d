// Search on pages that were opened from the disk: browsers start no workers there, so theirs runs in a hidden frame.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = `<script>postMessage = data => parent.postMessage(data, "*")</script>
        <script src="${address}"></script>`;
      this.ready = new Promise(done => this.frame.addEventListener("load", done));
      addEventListener("message", ({data, source}) => {
        if (source === this.frame.contentWindow) this.dispatchEvent(new MessageEvent("message", {data}));
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data})));
    }
  };
